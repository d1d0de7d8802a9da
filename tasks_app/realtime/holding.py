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
    """Ask again as long as the task's log ends with `seq`, and not longer than `until` (monotonic)."""

    task_id: str
    seq: int
    until: float


def hold_while_unchanged(request: Request, response: Response, task: Task, seconds: int) -> Response:
    """Mark the answer to be held for up to `seconds`. The first look decides what counts as unchanged."""
    first = getattr(request._request, "hold", None) or Hold(str(task.pk), task.last_seq, time.monotonic() + seconds)
    if task.status not in FINAL and task.last_seq == first.seq and time.monotonic() < first.until:
        response.hold = first  # type: ignore[attr-defined]
    return response


async def answer(
    request: HttpRequest, look: Callable[[HttpRequest], Awaitable[HttpResponseBase]], watching: changes.Changes
) -> HttpResponseBase:
    """What `look` says once it no longer asks to be held."""
    response = await look(request)
    hold: Hold | None = getattr(response, "hold", None)
    if hold is None:
        return response
    request.hold = hold  # type: ignore[attr-defined]
    async with watching.watch(hold.task_id) as changed:
        response = await look(request)  # what changed before the watch began is seen now
        while getattr(response, "hold", None):
            await changes.wait(changed, hold.until - time.monotonic())
            response = await look(request)
    return response
