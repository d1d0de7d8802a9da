"""One round of the leader: read what waits and who is free, plan, write all placements at once, send the messages.

A round is a handful of statements, however many tasks it places.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from tasks_app import dispatch, transitions
from tasks_app.decisions import Placement
from tasks_app.models import Task
from tasks_app.scheduling import books, reading
from tasks_app.scheduling.memory import Memory
from tasks_app.scheduling.policy import plan
from tasks_app.scheduling.snapshot import Choice, WorkerView
from tasks_app.states import Status
from tenants_app.ids import uuid7
from workers_app import health
from workers_app.models import ABSENT, Worker, WorkerState


def place_waiting(memory: Memory | None = None) -> int:
    """Place as many waiting tasks as there is room for; returns how many were dispatched.

    `memory` is what the leader knows from its earlier rounds; without it, what was stored of that.
    """
    memory = memory or books.load()
    on_workers, weights = reading.read_on_workers()
    left = memory.see(on_workers, weights)
    if left:
        memory.settle(left, reading.read_ended([work.task_id for work in left]))
    workers = {worker.name: worker for worker in Worker.objects.filter(stopped_at=None, stopping=False)}
    views = _ready(workers.values(), Counter(work.worker for work in on_workers))
    free_slots = sum(view.free_slots for view in views)
    if not free_slots:
        return 0
    waiting = reading.read_waiting(free_slots)
    now = time.time()
    made = plan(memory.snapshot(now, waiting.queues, views, waiting.rules, waiting.cut))
    choices = {choice.task.task_id: choice for choice in made.choices}
    rows = transitions.dispatch([_placement(choice) for choice in made.choices]) if choices else []
    memory.decided(now, made, [choices[row.id] for row in rows])
    dispatch.send([_message(row, workers) for row in rows])
    return len(rows)


def worker_views(workers: Sequence[Worker]) -> list[WorkerView]:
    """The workers that may get work now, with the room that the rows on them leave. For readers beside the leader."""
    taken = dict(Task.objects.on_worker().order_by().values_list("worker").annotate(Count("id")))
    return _ready(workers, Counter(taken))


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


def _ready(workers: Iterable[Worker], taken: Counter[str]) -> list[WorkerView]:
    now = timezone.now()
    return [
        reading.view_of(worker, taken)
        for worker in workers
        if worker.state == WorkerState.ACTIVE
        and worker.engine_state != ABSENT
        and health.of(worker, now) == health.Health.ONLINE
    ]


def _placement(choice: Choice) -> Placement:
    return Placement(choice.task.task_id, choice.worker, uuid7())


def _message(row: Any, workers: dict[str, Worker]) -> dispatch.Message:
    return dispatch.Message(row.id, row.attempt_id, row.task_type, workers[row.worker].hostname)
