"""Reading live output from Redis: whatever the followers of a process want at a moment is one command.

Redis away reads as nothing there; followers ask again anyway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio
import structlog
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tasks_app import hints, streams
from tasks_app.streams import Entry

COUNT = 200  # entries of one stream that are read at once
log = structlog.get_logger(__name__)
Place = tuple[str, int]  # a stream and the number of the last entry that is known
Wish = tuple[str, int, "asyncio.Future[Sequence[Entry]]"]


class Tails:
    """Lives on one event loop; connects when first asked."""

    def __init__(self) -> None:
        self._client: redis.asyncio.Redis | None = None
        self._wishes: list[Wish] = []
        self._reader: asyncio.Task[None] | None = None
        self._away_until = 0.0  # monotonic

    async def read(self, key: str, after: int) -> Sequence[Entry]:
        """Up to COUNT entries behind number `after`, in their order."""
        if not settings.REDIS_URL or time.monotonic() < self._away_until:
            return ()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Entry]] = loop.create_future()
        self._wishes.append((key, after, answer))
        if self._reader is None or self._reader.done():
            self._reader = loop.create_task(self._serve())
        return await answer

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        for _, _, answer in self._wishes:
            answer.cancel()
        if self._client is not None:
            await self._client.aclose()

    async def _serve(self) -> None:
        while self._wishes:
            wishes, self._wishes = self._wishes, []
            found: dict[Place, Sequence[Entry]] = {}
            try:
                found = await self._fetch({(key, after) for key, after, _ in wishes})
            except (RedisError, OSError) as error:
                log.info("live_output_away", reason=str(error))
                self._away_until = time.monotonic() + hints.PAUSE_AFTER_ERROR
            finally:
                for key, after, answer in wishes:
                    if not answer.done():  # whoever asked may have left
                        answer.set_result(found.get((key, after), ()))

    async def _fetch(self, places: set[Place]) -> dict[Place, Sequence[Entry]]:
        found: dict[Place, Sequence[Entry]] = {}
        while places:
            behind = dict(places)  # a command reads each stream from one place; mostly that is all of them
            places = places - behind.items()
            answer: Any = await self._connected().xread({key: f"{n}-0" for key, n in behind.items()}, COUNT)
            for name, entries in answer:
                key = name.decode()
                found[key, behind[key]] = [streams.unpack(*entry) for entry in entries]
        return found

    def _connected(self) -> redis.asyncio.Redis:
        if self._client is None:
            self._client = redis.asyncio.Redis.from_url(
                hints.address(settings.REDIS_URL),
                socket_timeout=1.0,
                socket_connect_timeout=1.0,
                health_check_interval=30,
                retry=Retry(NoBackoff(), 1),
                **settings.REDIS_TLS,
            )
        return self._client
