"""Who waits for which task, woken by the hints of one Redis subscription per process. Lives on one event loop.

A hint may be lost, so a waiter also looks by itself every second: this makes waiting quick, never right.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
import structlog
from django.conf import settings
from redis.exceptions import RedisError

from tasks_app import hints

LOOK_AGAIN = 1.0  # seconds after which a waiter re-reads without a hint
log = structlog.get_logger(__name__)


class Changes:
    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watch(self, task_id: str) -> AsyncIterator[asyncio.Event]:
        """Set whenever the task may have changed. Enter before reading the state that must not be missed."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        event = asyncio.Event()
        self._waiters.setdefault(task_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiters[task_id].discard(event)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    def waiting(self, task_id: str) -> int:
        return len(self._waiters.get(task_id, ()))

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None

    def wake(self, task_ids: str) -> None:
        """`task_ids` as hints carry them: separated by spaces."""
        for task_id in task_ids.split():
            for event in self._waiters.get(task_id, ()):
                event.set()

    async def _listen(self) -> None:
        while settings.REDIS_URL:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                log.info("hints_away", reason=str(error))
                await asyncio.sleep(hints.PAUSE_AFTER_ERROR)

    async def _follow(self) -> None:
        address = hints.address(settings.REDIS_URL)
        client = redis.asyncio.Redis.from_url(address, socket_connect_timeout=1.0, health_check_interval=30)
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(hints.CHANGED)
            while True:
                if message := await subscription.get_message(timeout=5.0):
                    self.wake(message["data"].decode())


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until a hint, or until it is time to look again, or for `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), min(seconds, LOOK_AGAIN))
    except TimeoutError:
        return
    finally:
        event.clear()
