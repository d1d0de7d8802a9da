"""Why a task is not running yet, in one sentence, from what the scheduler itself would look at."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone

from tasks_app.models import Task
from tasks_app.scheduling import leader, placement, rounds
from tasks_app.scheduling.placement import WaitingTask, WorkerView
from tasks_app.states import Status
from workers_app import health
from workers_app.models import Model, Worker

COUNTED = 1_000  # tasks ahead; beyond that the number says nothing more


def why(task: Task) -> str:
    """Empty for a task that does not wait."""
    if task.status == Status.DISPATCHED:
        return f"Handed to {task.worker}, which starts it as soon as it has read the message."
    if task.status != Status.PENDING:
        return ""
    if task.not_before and task.not_before > timezone.now():
        again = "The last attempt failed; it is tried again" if task.attempt else "It is scheduled, and starts"
        return f"{again} not before {task.not_before:%Y-%m-%d %H:%M:%S} UTC."
    if not leader.exists():
        return "No scheduler is running. Start one: python manage.py run_scheduler"
    model = Model.objects.filter(task_type=task.task_type, name=task.model, enabled=True).first()
    if model is None:
        return f"The model {task.model} is not enabled any more. It starts when an operator enables the model again."
    wanted = WaitingTask(task.pk, task.task_type, task.model, task.priority, model.memory_mib)
    return _who_could(wanted, task)


def _who_could(wanted: WaitingTask, task: Task) -> str:
    workers = list(Worker.objects.filter(stopped_at=None, stopping=False))
    views = rounds.worker_views(workers)
    if not views:
        return _nobody(workers)
    capable = [view for view in views if placement.capable(wanted, view)]
    if not capable:
        return f"No online worker can run {wanted.model}: they take other types or models, or have too little memory."
    if not any(view.free_slots > 0 for view in capable):
        return f"Every slot that could run it is busy ({_slots(capable)}). {_ahead(task)}"
    return "A slot is free; it is placed at the scheduler's next look."


def _nobody(workers: list[Worker]) -> str:
    now = timezone.now()
    online = [worker for worker in workers if health.of(worker, now) == health.Health.ONLINE]
    told = [f"{worker.name} is {_held_back(worker)}" for worker in online if health.is_held_back(worker)]
    return f"No worker takes new work: {', '.join(sorted(told))}." if told else "No worker is online."


def _held_back(worker: Worker) -> str:
    return "quarantined" if worker.quarantined_at else worker.state


def _slots(views: list[WorkerView]) -> str:
    slots = sum(view.slots for view in views)
    return f"{slots} of {slots}"


def _ahead(task: Task) -> str:
    earlier = Q(priority__gt=task.priority) | Q(priority=task.priority, pk__lt=task.pk)
    queue = Task.objects.waiting().filter(earlier, task_type=task.task_type).order_by()
    number = queue.values("pk")[: COUNTED + 1].count()
    if not number:
        return "It is the first in line of its type."
    return f"{'More than 1,000' if number > COUNTED else number} of its type stand before it."
