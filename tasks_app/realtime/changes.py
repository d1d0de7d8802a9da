"""Who waits for which task, woken by the hints of one Redis subscription per process. Lives on one event loop.

A hint may be lost, so a waiter also looks by itself every second, and for followers `lookout` does: this makes waiting
quick, never right.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import redis.asyncio
import structlog
from django.conf import settings
from redis.exceptions import RedisError

from tasks_app import hints

LOOK_AGAIN = 1.0  # seconds after which a waiter re-reads without a hint
REMEMBERED = 10_000  # tasks whose last hint is known, for those who begin to wait just after it
log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Waiter:
    """`wake` is set by a hint on its task; one that waits for the end sleeps through all the others."""

    until_ended: bool
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Until a hint, or until it is time to look again, or for `seconds`."""
        try:
            await asyncio.wait_for(self.wake.wait(), min(seconds, LOOK_AGAIN))
        except TimeoutError:
            return
        finally:
            self.wake.clear()


@dataclass(eq=False, slots=True)
class Ear:
    """Of one follower of a task: what there may be to read, and `wake`, which is set with it."""

    log: bool = True
    stream: bool = False
    seq: int = 0  # of the last event of the log that the follower has read
    is_live: bool = False  # the task is on a worker, so its stream may go on
    refused: bool = False  # whoever follows may not any more
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def refuse(self) -> None:
        self.refused = True
        self.wake.set()

    def hear(self, log: bool = False, stream: bool = False) -> None:
        self.log |= log
        self.stream |= stream
        self.wake.set()


class Changes:
    def __init__(self) -> None:
        self.tick = 0  # counts the hints
        self._recent: OrderedDict[str, int] = OrderedDict()  # the tick of each task's last hint
        self._waiters: dict[str, set[Waiter]] = {}
        self.ears: dict[str, set[Ear]] = {}
        self._listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Subscribe, unless that was done; needs the running event loop."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())

    def waiting(self, task_id: str) -> int:
        return len(self._waiters.get(task_id, ()))

    @asynccontextmanager
    async def watch(self, task_id: str, until_ended: bool, since: int) -> AsyncIterator[Waiter]:
        """A waiter that is awake already if the task was hinted at after tick `since`."""
        waiter = Waiter(until_ended)
        if self._recent.get(task_id, 0) > since:
            waiter.wake.set()
        self._waiters.setdefault(task_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[task_id].discard(waiter)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    @contextmanager
    def follow(self, task_id: str) -> Iterator[Ear]:
        ear = Ear()
        self.ears.setdefault(task_id, set()).add(ear)
        try:
            yield ear
        finally:
            self.ears[task_id].discard(ear)
            if not self.ears[task_id]:
                del self.ears[task_id]

    async def close(self) -> None:
        while self._listener is not None:
            self._listener.cancel()  # more than once: while it connects, redis-py takes a cancellation for a time-out
            done, _ = await asyncio.wait([self._listener], timeout=0.1)
            self._listener = None if done else self._listener

    def hear(self, hint: str) -> None:
        """`hint` as `hints.changed` makes it."""
        self.tick += 1
        for word in hint.split():
            task_id, ended = word.lstrip("!"), word.startswith("!")
            self._recent[task_id] = self.tick
            self._recent.move_to_end(task_id)
            for waiter in self._waiters.get(task_id, ()):
                if ended or not waiter.until_ended:
                    waiter.wake.set()
            for ear in self.ears.get(task_id, ()):
                ear.hear(log=True)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def hear_streams(self, hint: str) -> None:
        """`hint` as the workers send it."""
        if self.ears:
            for task_id in hint.split():
                for ear in self.ears.get(task_id, ()):
                    ear.hear(stream=True)

    async def _listen(self) -> None:
        while settings.REDIS_URL:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                log.info("hints_away", reason=str(error))
                await asyncio.sleep(hints.PAUSE_AFTER_ERROR)

    async def _follow(self) -> None:
        address = hints.address(settings.REDIS_URL)
        client = redis.asyncio.Redis.from_url(
            address, socket_connect_timeout=1.0, health_check_interval=30, **settings.REDIS_TLS
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(hints.CHANGED, hints.STREAMED)
            while True:
                if message := await subscription.get_message(timeout=5.0):
                    hear = self.hear_streams if message["channel"].decode() == hints.STREAMED else self.hear
                    hear(message["data"].decode())
