"""What becomes of a task whose caller leaves: it is cancelled. Wraps `realtime.holding` where the server hands over.

A view marks its request with the task that somebody is waiting for. A look that has begun is always finished, so that
a task made by it is known here, however early the client left. And a look that fails because the database is away ends
no wait: the task goes on, and a client that was told would send it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from django.http import HttpRequest, HttpResponseBase

from tasks_app import services
from tasks_app.api.errors import DatabaseAway
from tasks_app.models import Task
from tasks_app.realtime import holding, live
from tasks_app.realtime.changes import Changes

log = structlog.get_logger(__name__)
Look = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
ROUTES = "/v1/"


@dataclass(frozen=True, slots=True)
class Leaver:
    """`by`: in whose name it is cancelled."""

    task: Task
    by: str


def cancels(request: HttpRequest, task: Task, by: str) -> None:
    """From now on a client that leaves before its answer cancels the task."""
    request.leaver = Leaver(task, by)  # type: ignore[attr-defined]


def cancel(leaver: Leaver) -> None:
    """Reads and writes the database."""
    services.cancel_many([leaver.task.pk], leaver.by)
    log.info("caller_left", task_id=str(leaver.task.pk))


async def answer(request: HttpRequest, look: Look, watching: Changes) -> HttpResponseBase:
    """What `holding` says. Called for every request, so the others pass at no cost."""
    if not request.path.startswith(ROUTES):
        return await holding.answer(request, look, watching)
    try:
        return await holding.answer(request, _finishing(look), watching)
    except asyncio.CancelledError:
        leaver: Leaver | None = getattr(request, "leaver", None)
        if leaver is not None:
            await live.current.get().on_thread(cancel, leaver)
        raise


def _finishing(look: Look) -> Look:
    async def finished(request: HttpRequest) -> HttpResponseBase:
        looking = asyncio.ensure_future(look(request))
        try:
            response = await asyncio.shield(looking)
        except asyncio.CancelledError:
            await asyncio.wait([looking])
            raise
        hold: holding.Hold | None = getattr(request, "hold", None)
        if hold is not None and _may_look_again(response) and time.monotonic() < hold.until:
            response.hold = hold  # type: ignore[attr-defined]
        return response

    return finished


def _may_look_again(response: HttpResponseBase) -> bool:
    return response.status_code == DatabaseAway.status_code and response.headers.get("Retry-After") is not None
