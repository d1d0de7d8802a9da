"""What the age of a heartbeat means. Pure, but for reading the settings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.conf import settings

from workers_app.models import Worker


class Health(StrEnum):
    ONLINE = "online"
    LATE = "late"  # missed two heartbeats: gets no new work
    LOST = "lost"  # as long without a heartbeat as a lease lasts: its tasks are rescued
    STOPPED = "stopped"  # left in good order


def late_after() -> float:
    """Seconds without a heartbeat."""
    return float(settings.HEARTBEAT_INTERVAL * 2.5)


def of(worker: Worker, now: datetime) -> Health:
    if worker.stopped_at is not None:
        return Health.STOPPED
    age = (now - worker.heartbeat_at).total_seconds()
    if age > settings.LEASE_SECONDS:
        return Health.LOST
    return Health.LATE if age > late_after() else Health.ONLINE
