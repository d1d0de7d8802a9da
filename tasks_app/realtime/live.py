"""What a web process has one of for all that stays open: its threads, its subscription, its reader, its lookout.

Whoever serves a request finds it in `current`, which the ASGI handler sets.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, connection

from tasks_app.realtime import reading
from tasks_app.realtime.changes import LOOK_AGAIN, Changes
from tasks_app.realtime.standing import Passes, worthless
from tasks_app.realtime.tails import Tails

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
current: ContextVar[Live] = ContextVar("live")


class Live:
    """Lives on one event loop, which must run when it is first used."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.changes = Changes()
        self.tails = Tails()
        self.passes = Passes()
        self._threads = threads
        self._lookout: asyncio.Task[None] | None = None

    async def on_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For what asks the database; the connection goes back to the pool."""

        def run() -> T:
            try:
                return call(*args, **kwargs)
            finally:
                connection.close()

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def start(self) -> None:
        """Unless that was done."""
        self.changes.listen()
        if self._lookout is None or self._lookout.done():
            self._lookout = asyncio.get_running_loop().create_task(self._look_out())

    async def close(self) -> None:
        if self._lookout is not None:
            self._lookout.cancel()
            await asyncio.wait([self._lookout])
        await self.tails.close()
        await self.changes.close()

    async def _look_out(self) -> None:
        """Hints may be lost, so once a second one query asks for all followers which of their tasks went on; every
        other second one asks whether all who are let in may still be there.
        """
        for second in itertools.count():
            await asyncio.sleep(LOOK_AGAIN)
            try:
                if self.changes.ears:
                    self._wake(await self.on_thread(reading.last_seqs, list(self.changes.ears)))
                if second % 2 and (held := self.passes.held()):
                    self.passes.end(await self.on_thread(worthless, held))
            except (DatabaseError, InterfaceError) as error:
                log.warning("database_away", reason=str(error).strip())
            except Exception:  # whatever it was, everybody who follows depends on the next round
                log.exception("lookout_broke")

    def _wake(self, last_seqs: dict[str, int]) -> None:
        for task_id, ears in self.changes.ears.items():
            for ear in ears:
                moved = last_seqs.get(task_id) != ear.seq
                if moved or ear.is_live:
                    ear.hear(log=moved, stream=ear.is_live)
