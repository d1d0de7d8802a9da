"""One round of the leader: read what waits and who is free, plan, write all placements at once, send the messages.

A round is a handful of statements, however many tasks it places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from tasks_app import dispatch, transitions
from tasks_app.decisions import Placement
from tasks_app.models import Task
from tasks_app.scheduling.placement import WaitingTask, WorkerView
from tasks_app.scheduling.policy import plan
from tasks_app.sql import returning
from tasks_app.states import Status
from workers_app import health
from workers_app.models import Worker, WorkerState

# The head of the queue of each model, so that one model without a worker never hides the others. Uses task_waiting.
WAITING = """
SELECT t.id, m.task_type, m.name AS model, t.priority, m.memory_mib, t.avoid_worker
  FROM workers_app_model m
 CROSS JOIN LATERAL (
       SELECT id, priority, avoid_worker FROM tasks_app_task
        WHERE status = 'pending' AND task_type = m.task_type AND model = m.name
          AND (not_before IS NULL OR not_before <= now())
        ORDER BY priority DESC, id LIMIT %s) t
 WHERE m.enabled
"""


def place_waiting() -> int:
    """Place as many waiting tasks as there is room for; returns how many were dispatched."""
    workers = {worker.name: worker for worker in Worker.objects.filter(stopped_at=None, stopping=False)}
    views = worker_views(list(workers.values()))
    room = sum(view.free_slots for view in views)
    if not room:
        return 0
    placements = [d for d in plan(read_waiting(limit=room), views) if isinstance(d, Placement)]
    if not placements:
        return 0
    rows = transitions.dispatch(placements)
    dispatch.send([_message(row, workers) for row in rows])
    return len(rows)


def worker_views(workers: Sequence[Worker]) -> list[WorkerView]:
    """The workers that may get work now, with the room that the rows on them leave."""
    now = timezone.now()
    taken = Counter(dict(Task.objects.on_worker().order_by().values_list("worker").annotate(Count("id"))))
    return [
        _view(worker, taken[worker.name])
        for worker in workers
        if worker.state == WorkerState.ACTIVE and health.of(worker, now) == health.Health.ONLINE
    ]


def read_waiting(limit: int) -> list[WaitingTask]:
    """The first `limit` tasks of each model's queue."""
    return [WaitingTask(*row) for row in returning(WAITING, [limit])]


def resend_unclaimed() -> None:
    """What was dispatched and not claimed in time is sent again, or taken back if its worker is gone."""
    late: list[Any] = list(
        Task.objects.filter(
            status=Status.DISPATCHED, sent_at__lt=Now() - timedelta(seconds=settings.CLAIM_TIMEOUT)
        ).values_list("id", "attempt_id", "task_type", "worker", named=True)
    )
    if not late:
        return
    now = timezone.now()
    workers = {w.name: w for w in Worker.objects.filter(name__in={row.worker for row in late})}
    alive = {name for name, w in workers.items() if not w.stopping and health.of(w, now) == health.Health.ONLINE}
    gone = {row.id: row.attempt_id for row in late if row.worker not in alive}
    transitions.take_back(gone, "its worker is gone")
    again = [row for row in late if row.worker in alive]
    Task.objects.filter(id__in=[row.id for row in again], status=Status.DISPATCHED).update(sent_at=Now())
    dispatch.send([_message(row, workers) for row in again])


def _view(worker: Worker, taken: int) -> WorkerView:
    return WorkerView(
        name=worker.name,
        kinds=frozenset(worker.kinds),
        slots=worker.slots,
        free_slots=max(0, worker.slots - taken),
        allowed_models=frozenset(worker.allowed_models),
        warm=frozenset(model["name"] for model in worker.warm_models),
        memory_total_mib=int(worker.device.get("memory_total_mib") or 0),
    )


def _message(row: Any, workers: dict[str, Worker]) -> dispatch.Message:
    return dispatch.Message(row.id, row.attempt_id, row.task_type, workers[row.worker].hostname)
