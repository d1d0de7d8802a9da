"""Steering workers: what an operator wants of one, and what that means for the tasks on their way to it.

Called by the API, the admin and the pages. The worker hears of it with its next heartbeat; the scheduler does by itself
once a second what a crash in here leaves undone.
"""

from __future__ import annotations

from django.utils import timezone

from tasks_app import dispatch, hints
from tasks_app.scheduling import rounds
from workers_app import health, services
from workers_app.models import Worker, WorkerState

GONE = frozenset({health.Health.STOPPED, health.Health.LOST})


def set_worker_state(name: str, state: WorkerState, by: str, reason: str = "") -> Worker | None:
    """The worker as it is now, or None if there is none of that name. What runs goes on, whatever the state."""
    worker = services.set_state(name, state, by, reason)
    if worker is None:
        return None
    rounds.take_back_from_held_back()
    if state == WorkerState.RETIRED and health.of(worker, timezone.now()) in GONE:
        dispatch.drop_queue(worker.hostname)  # a living one does it when it ends
    hints.wake_scheduler()
    return worker
