"""Emptying the broker's queues of workers that left or were lost long ago: nobody else ever would.

Called by the scheduler's loop. What is thrown away here was sent to a worker that cannot claim it: its task has long
been rescued.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from tasks_app import dispatch
from workers_app.models import Worker

log = structlog.get_logger(__name__)
INTERVAL = 30.0  # seconds between two looks
GONE_AFTER_LEASES = 6  # so many leases without a sign of life; a worker that comes back by itself does so before


class Tidying:
    def __init__(self) -> None:
        self._done: set[tuple[UUID, str]] = set()  # each start of a worker is a new incarnation
        self._looked_at = 0.0  # monotonic

    def run_if_due(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= INTERVAL:
            self._looked_at = now
            self.run()

    def run(self) -> None:
        """A broker that is away ends it until the next look."""
        gone = set(_gone())
        self._done &= gone
        for incarnation, hostname in gone - self._done:
            if not dispatch.discard_queue(hostname):
                return
            self._done.add((incarnation, hostname))
            log.info("queue_discarded", hostname=hostname)


def _gone() -> list[tuple[UUID, str]]:
    """Nothing of a host name that a living worker has taken over under another name."""
    silent_since = Now() - timedelta(seconds=GONE_AFTER_LEASES * settings.LEASE_SECONDS)
    gone = Q(heartbeat_at__lt=silent_since) | Q(stopped_at__lt=silent_since)
    alive = Worker.objects.exclude(gone).values("hostname")
    return list(Worker.objects.filter(gone).exclude(hostname__in=alive).values_list("incarnation", "hostname"))
