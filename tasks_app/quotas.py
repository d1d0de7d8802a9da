"""Whether an organization may have more tasks: how many wait, and what today's have cost.

Decided in the transaction of the insert, behind a lock on the organization's row, so that of any number of requests at
once none too many is let in.

An organization without such limits is neither locked nor counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks_app.models import Spent
from tasks_app.sql import returning
from tenants_app.models import Organization

DRAIN_WINDOW = timedelta(minutes=5)  # over which the rate is measured at which tasks end
DRAIN_COUNTED = 10_000  # tasks in it; more are not counted
NO_RATE = 60  # seconds to wait where nothing has ended lately
LONGEST = 3600  # seconds that a client is told to wait for room
# What ended so long ago is committed: its transaction has had its statement and idle time-outs many times over.
SETTLED = timedelta(minutes=5)

LIMITS = """
SELECT queued_limit, gpu_seconds_per_day, tokens_per_day, now() AS now
  FROM tenants_app_organization WHERE id = %s FOR NO KEY UPDATE
"""
WAITING = """
SELECT count(*) AS waiting
  FROM (SELECT 1 FROM tasks_app_task WHERE organization_id = %s AND status = 'pending' LIMIT %s) AS found
"""
ENDED = """
SELECT count(*) AS ended
  FROM (SELECT 1 FROM tasks_app_task WHERE organization_id = %s AND completed_at > %s LIMIT %s) AS found
"""
SUM = """
SELECT COALESCE(sum(gpu_seconds), 0) AS gpu_seconds, COALESCE(sum(tokens), 0)::bigint AS tokens
  FROM (SELECT gpu_seconds, COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) AS tokens FROM tasks_app_task
         WHERE organization_id = %(organization)s AND completed_at >= %(begin)s AND completed_at < %(end)s
        UNION ALL
        SELECT gpu_seconds, COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) FROM tasks_app_usagerecord
         WHERE organization_id = %(organization)s AND completed_at >= %(begin)s AND completed_at < %(end)s) AS ended
"""


class LimitReached(Exception):
    """The message is a sentence; `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(LimitReached):
    """Too many of its tasks wait."""


class QuotaExceeded(LimitReached):
    """Today's tasks have cost all that a day may."""


class NeverFits(Exception):
    """More tasks at once than may ever wait; the message is a sentence."""


def admit(wanted: Mapping[Organization, int]) -> None:
    """Lets so many new tasks of each in, or raises QueueFull, QuotaExceeded or NeverFits.

    Called in the transaction that inserts them. What runs already goes on whatever it costs.
    """
    for organization in sorted(wanted, key=lambda each: each.pk):  # in one order, so that nobody waits in a circle
        limits = (organization.queued_limit, organization.gpu_seconds_per_day, organization.tokens_per_day)
        if any(limit is not None for limit in limits):
            _admit(organization, wanted[organization])


def _admit(organization: Organization, count: int) -> None:
    [limits] = returning(LIMITS, [organization.pk])  # as they are now; what the identity carries may be seconds old
    if limits.queued_limit is not None:
        _refuse_full_queue(organization, count, limits.queued_limit, limits.now)
    if limits.gpu_seconds_per_day is None and limits.tokens_per_day is None:
        return
    gpu_seconds, tokens = _spent_today(organization, limits.now)
    for what, spent, limit in (
        ("GPU-seconds", gpu_seconds, limits.gpu_seconds_per_day),
        ("tokens", tokens, limits.tokens_per_day),
    ):
        if limit is not None and spent >= limit:
            message = f"{organization.slug} has used {spent:.0f} of {limit} {what} of today; the day ends at 00:00 UTC."
            raise QuotaExceeded(message, _seconds_to_midnight(limits.now))


def _refuse_full_queue(organization: Organization, count: int, limit: int, now: datetime) -> None:
    if count > limit:
        raise NeverFits(f"At most {limit} tasks of {organization.slug} may wait, and these are {count}.")
    [row] = returning(WAITING, [organization.pk, limit + 1])
    over = row.waiting + count - limit
    if over > 0:
        message = f"{row.waiting} tasks of {organization.slug} wait, and at most {limit} may."
        raise QueueFull(message, _seconds_to_drain(organization, over, now))


def _seconds_to_drain(organization: Organization, tasks: int, now: datetime) -> int:
    """At the rate at which the organization's tasks have ended lately."""
    [row] = returning(ENDED, [organization.pk, now - DRAIN_WINDOW, DRAIN_COUNTED])
    if not row.ended:
        return NO_RATE
    seconds: float = tasks * DRAIN_WINDOW.total_seconds() / row.ended
    return min(LONGEST, math.ceil(seconds))


def _spent_today(organization: Organization, now: datetime) -> tuple[float, int]:
    """GPU-seconds and tokens. The organization's row is locked, so nobody else moves the mark."""
    midnight = _midnight(now)
    mark = Spent.objects.filter(pk=organization.pk, until__gte=midnight).first()
    mark = mark or Spent(organization=organization, until=midnight, gpu_seconds=0.0, tokens=0)
    settled = max(midnight, now - SETTLED)
    if settled > mark.until + SETTLED:  # not each time: a row that is written often is slow to read
        more = _sum(organization, mark.until, settled)
        mark.gpu_seconds, mark.tokens, mark.until = mark.gpu_seconds + more[0], mark.tokens + more[1], settled
        mark.save()
    latest = _sum(organization, mark.until, now + timedelta(days=1))
    return mark.gpu_seconds + latest[0], mark.tokens + latest[1]


def _sum(organization: Organization, begin: datetime, end: datetime) -> tuple[float, int]:
    values: Any = {"organization": organization.pk, "begin": begin, "end": end}
    [row] = returning(SUM, values)
    return row.gpu_seconds, row.tokens


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _seconds_to_midnight(now: datetime) -> int:
    return max(1, math.ceil((_midnight(now) + timedelta(days=1) - now).total_seconds()))
