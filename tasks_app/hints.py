"""Live hints over Redis: "these tasks changed", "scheduler, look now", "a webhook is due".

Sent by a background thread after a commit. Any of them may be lost, late or doubled: whoever listens re-reads the
database, and looks by itself every second anyway. So nothing here ever blocks or fails a caller, and what does not fit
into the queue is dropped.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from uuid import UUID

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

CHANGED = "baton:changed"  # payload: task ids, separated by spaces; with a ! before it: has ended or is gone
STREAMED = "baton:streamed"  # payload: ids of tasks whose live output went on, separated by spaces
WAKE = "baton:wake"  # payload: empty
WEBHOOKS = "baton:webhooks"  # payload: empty
QUEUE_SIZE = 10_000  # hints; more than that is no longer live
PAUSE_AFTER_ERROR = 1.0  # seconds
log = structlog.get_logger(__name__)


def address(url: str) -> str:
    """A Redis URL as redis-py reads it; Celery writes a socket in a way of its own."""
    return url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")


def connect() -> redis.Redis | None:
    """A client that never blocks long, or None where no REDIS_URL is set (then everybody polls)."""
    if not settings.REDIS_URL:
        return None
    return redis.Redis.from_url(
        address(settings.REDIS_URL),
        socket_timeout=3.0,
        socket_connect_timeout=1.0,
        health_check_interval=30,
        **settings.REDIS_TLS,
    )


def connect_once() -> redis.Redis | None:
    """The same, for what is worth nothing later: it tries each command once."""
    client = connect()
    if client is not None:
        client.set_retry(Retry(NoBackoff(), 0))
    return client


class _Publisher:
    """One daemon thread per process, started by the first hint (so never before a fork)."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, str]] = queue.Queue(QUEUE_SIZE)
        self._started = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, channel: str, payload: str) -> None:
        try:
            self._queue.put_nowait((channel, payload))
        except queue.Full:
            return  # Redis is away; listeners poll
        if self._thread is None:
            with self._started:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        client = connect()
        while client is not None:
            hints = [self._queue.get()]
            while len(hints) < 100 and not self._queue.empty():
                hints.append(self._queue.get_nowait())
            try:
                with client.pipeline(transaction=False) as pipe:
                    for channel, payload in dict.fromkeys(hints):
                        pipe.publish(channel, payload)
                    pipe.execute()
            except redis.RedisError as error:
                log.debug("hints_lost", count=len(hints), reason=str(error))
                threading.Event().wait(PAUSE_AFTER_ERROR)


_publisher = _Publisher()


def changed(tasks: Mapping[UUID, bool]) -> None:
    """Call after the commit, with whether each task has ended."""
    if settings.REDIS_URL and tasks:
        _publisher.put(CHANGED, " ".join(f"{'!' * ended}{task}" for task, ended in tasks.items()))


def wake_scheduler() -> None:
    """Call after the commit of a submit, and when a slot became free."""
    if settings.REDIS_URL:
        _publisher.put(WAKE, "")


def wake_webhooks() -> None:
    """Call after a commit that promised a webhook."""
    if settings.REDIS_URL:
        _publisher.put(WEBHOOKS, "")
