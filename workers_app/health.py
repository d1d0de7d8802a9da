"""What the age of a heartbeat means, and who takes work. Pure, but for reading the settings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.conf import settings

from workers_app.models import ABSENT, Worker, WorkerState


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


def is_held_back(worker: Worker) -> bool:
    """It lives or not, but it is to get no work: told so by an operator, sound no more, or on its way out."""
    told = worker.state != WorkerState.ACTIVE
    return told or worker.stopping or worker.quarantined_at is not None or worker.stopped_at is not None


def takes_work(worker: Worker, now: datetime) -> bool:
    return not is_held_back(worker) and worker.engine_state != ABSENT and of(worker, now) == Health.ONLINE
