"""Holding an answer back until its task changes: a view marks it, the ASGI server waits and asks the view again.

Between two looks there is no thread and no connection, only a waiter. A server that cannot hold, as Django's test
client, sends the first answer: a wait is an upper bound.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from tasks_app.models import Task
from tasks_app.realtime import changes
from tasks_app.states import FINAL


@dataclass(frozen=True, slots=True)
class Hold:
    """Ask again while the task's log ends with `seq`, or until it has ended; not longer than `until` (monotonic)."""

    task_id: str
    seq: int | None  # None: until it has ended
    until: float

    def is_over(self, task: Task) -> bool:
        unchanged = self.seq is None or task.last_seq == self.seq
        return task.status in FINAL or not unchanged or time.monotonic() >= self.until


def hold_while_unchanged(
    request: Request, response: Response, task: Task, seconds: int, until_ended: bool = False
) -> Response:
    """Mark the answer to be held for up to `seconds`. The first look decides what counts as unchanged."""
    seq = None if until_ended else task.last_seq
    hold = getattr(request._request, "hold", None) or Hold(str(task.pk), seq, time.monotonic() + seconds)
    if not hold.is_over(task):
        response.hold = hold  # type: ignore[attr-defined]
    return response


async def answer(
    request: HttpRequest, look: Callable[[HttpRequest], Awaitable[HttpResponseBase]], watching: changes.Changes
) -> HttpResponseBase:
    """What `look` says once it no longer asks to be held."""
    watching.listen()
    before = watching.tick
    response = await look(request)
    hold: Hold | None = getattr(response, "hold", None)
    if hold is None:
        return response
    request.hold = hold  # type: ignore[attr-defined]
    async with watching.watch(hold.task_id, hold.seq is None, since=before) as waiter:
        while getattr(response, "hold", None):
            await waiter.wait(hold.until - time.monotonic())
            response = await look(request)
    return response
