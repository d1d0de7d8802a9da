"""What workers, queues and the newest tasks look like, read once a second for all who look at the same, while somebody
does. What is read is what the views of the API answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from tasks_app.api.views.queues import QueuesView
from tasks_app.api.views.tasks import TasksView
from tasks_app.api.views.workers import WorkersView
from tasks_app.realtime.doorman import Guest
from tasks_app.realtime.live import Live
from tenants_app.identity import Identity

EVERY = 1.0  # seconds between two looks
VIEWS: dict[str, tuple[type[APIView], str]] = {  # and the name of an item
    "tasks": (TasksView, "task_id"),
    "workers": (WorkersView, "name"),
    "queues": (QueuesView, "name"),
}
log = structlog.get_logger(__name__)
Items = dict[str, Any]


def read(channel: str, guest: Guest) -> Items:
    """Items by name. Raises what the view does."""
    view, name = VIEWS[channel]
    return {str(item[name]): item for item in guest.call(view, counted=False)["results"]}


class Overview:
    """One picture that several sockets look at; each waits for the next one."""

    def __init__(self) -> None:
        self.guests: list[Guest] = []  # in the name of the last one it is read
        self.reader: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Items] | None = None

    async def next(self) -> Items:
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)

    def show(self, items: Items) -> None:
        if self._next is not None and not self._next.done():
            self._next.set_result(items)


class Overviews:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._open: dict[Hashable, Overview] = {}

    @contextmanager
    def watch(self, channel: str, guest: Guest, identity: Identity) -> Iterator[Overview]:
        key = (channel, identity.organization.pk, identity.sees_all, identity.may_operate)
        overview = self._open.setdefault(key, Overview())
        overview.guests.append(guest)
        if overview.reader is None or overview.reader.done():
            overview.reader = asyncio.get_running_loop().create_task(self._read(channel, overview))
        try:
            yield overview
        finally:
            overview.guests.remove(guest)
            if not overview.guests:
                overview.reader.cancel()
                del self._open[key]

    async def _read(self, channel: str, overview: Overview) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                overview.show(await self._live.on_thread(read, channel, overview.guests[-1]))
            except (DatabaseError, InterfaceError) as error:
                log.warning("database_away", reason=str(error).strip())
            except (APIException, PermissionDenied) as error:
                log.info("overview_not_read", channel=channel, reason=str(error))
