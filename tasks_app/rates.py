"""Counting requests over a moving minute, in Redis, so that all web processes count together and none lets one too many
through. Called by `api.limiting`.

While Redis is away nobody can count: requests pass, rather than fail. Only tries to sign in are then counted by each
process for itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache

import redis
import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks_app import hints

WINDOW = 60  # seconds
PREFIX = "baton:rate"
TIMEOUT = 0.25  # seconds that a request may lose to a Redis that does not answer
PAUSE_AFTER_ERROR = 1.0  # seconds in which nobody asks it again
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """One limit: so many requests per minute of whom (`kind` and `name`)."""

    kind: str
    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a request met: whether it passes, how many more do now, and in how many seconds there is room again."""

    rate: Rate
    allowed: bool
    remaining: int
    reset_seconds: int


class _Away:
    """Redis failed a moment ago, so that one time-out a second is the most that a thread pays."""

    def __init__(self) -> None:
        self.until = 0.0  # monotonic

    def __bool__(self) -> bool:
        return time.monotonic() < self.until

    def note(self, error: Exception) -> None:
        self.until = time.monotonic() + PAUSE_AFTER_ERROR
        log.warning("rate_limits_not_counted", reason=str(error))


_away = _Away()


def count(rate: Rate) -> Counted | None:
    """None: nobody could count, so let it pass."""
    limiter = _shared()
    if limiter is None or _away:
        return None
    try:
        return _count(limiter, rate)
    except redis.RedisError as error:
        _away.note(error)
        return None


def count_strictly(rate: Rate) -> Counted:
    """Counts in this process alone while Redis is away."""
    return count(rate) or _count(_own(), rate)


def _count(limiter: MovingWindowRateLimiter, rate: Rate) -> Counted:
    item = RateLimitItemPerMinute(rate.limit, namespace=rate.kind)
    allowed = limiter.hit(item, rate.name)
    reset, remaining = limiter.get_window_stats(item, rate.name)
    return Counted(rate, allowed, max(0, remaining), max(1, math.ceil(reset - time.time())))


def forget() -> None:
    """Everything that this process knows: its connections, its own counts, and that Redis is away."""
    _shared.cache_clear()
    _own.cache_clear()
    _away.until = 0.0


@cache
def _shared() -> MovingWindowRateLimiter | None:
    if not settings.REDIS_URL:
        return None
    pool = redis.ConnectionPool.from_url(
        hints.address(settings.REDIS_URL),
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),  # a connection that was idle may have died unnoticed
        **settings.REDIS_TLS,
    )
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=PREFIX))


@cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())
