"""One round of the leader: read what waits and who is free, plan, write all placements at once, send the messages.

A round is a handful of statements, however many tasks it places.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
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
from workers_app.models import Worker


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
    views = ready(workers.values(), Counter(work.worker for work in on_workers))
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


def ready(workers: Iterable[Worker], taken: Counter[str]) -> list[WorkerView]:
    """Those that take work now, with the room that what is on them leaves."""
    now = timezone.now()
    return [reading.view_of(worker, taken) for worker in workers if health.takes_work(worker, now)]


def resend_unclaimed() -> None:
    """What was dispatched and not claimed in time is sent again, or taken back if its worker is gone."""
    take_back_from_held_back()
    late: list[Any] = list(
        Task.objects.filter(
            status=Status.DISPATCHED, sent_at__lt=Now() - timedelta(seconds=settings.CLAIM_TIMEOUT)
        ).values_list("id", "attempt_id", "task_type", "worker", named=True)
    )
    if not late:
        return
    now = timezone.now()
    workers = {w.name: w for w in Worker.objects.filter(name__in={row.worker for row in late})}
    alive = {name for name, worker in workers.items() if health.takes_work(worker, now)}
    gone = {row.id: row.attempt_id for row in late if row.worker not in alive}
    transitions.take_back(gone, "its worker is gone")
    again = [row for row in late if row.worker in alive]
    Task.objects.filter(id__in=[row.id for row in again], status=Status.DISPATCHED).update(sent_at=Now())
    dispatch.send([_message(row, workers) for row in again])


def take_back_from_held_back() -> None:
    """What a worker that is to get no work has not claimed goes back at once, however it came there."""
    held_back = {worker.name for worker in Worker.objects.all() if health.is_held_back(worker)}
    unclaimed: Any = Task.objects.filter(status=Status.DISPATCHED, worker__in=held_back)
    if attempts := dict(unclaimed.values_list("id", "attempt_id")):
        transitions.take_back(attempts, "its worker takes no work")


def _placement(choice: Choice) -> Placement:
    return Placement(choice.task.task_id, choice.worker, uuid7())


def _message(row: Any, workers: dict[str, Worker]) -> dispatch.Message:
    return dispatch.Message(row.id, row.attempt_id, row.task_type, workers[row.worker].hostname)
