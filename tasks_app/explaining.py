"""Why a task is where it is: one reason for machines, one sentence for people, its place in line, when it may start.

The scheduler's own policy gives the reasons of what waits; around it stand the ones that it never sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone

from tasks_app.models import Pause, PauseKind, Task
from tasks_app.scheduling import leader, outlook
from tasks_app.scheduling.outlook import Outlook
from tasks_app.scheduling.snapshot import STANDING_STILL, WaitReason
from tasks_app.states import FINAL, Status
from workers_app import health
from workers_app.models import Worker


class Stage(StrEnum):
    """Reasons that are not the policy's."""

    NEXT = "next"  # it is placed at the scheduler's next look
    BEHIND_OTHERS = "behind_others"  # so many wait that nobody has looked at it yet
    SCHEDULED = "scheduled"  # run_at is still to come
    BACKOFF = "backoff"  # it is tried again after a pause
    NO_SCHEDULER = "no_scheduler"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ENDED = "ended"


Reason = WaitReason | Stage


@dataclass(frozen=True, slots=True)
class Explanation:
    """`message` is empty for a task that does not wait. Positions count from 1; None where the line is too long to say,
    then `more_than` of its own queue stand before it. Starts are None where nobody can know.
    """

    reason: Reason
    message: str = ""
    position: int | None = None
    own_position: int | None = None
    more_than: int | None = None
    earliest: datetime | None = None
    latest: datetime | None = None


def explain(task: Task) -> Explanation:
    """`task` is read again if it has started meanwhile."""
    match task.status:
        case Status.DISPATCHED:
            message = f"Handed to {task.worker}, which starts it as soon as it has read the message."
            return Explanation(Stage.DISPATCHED, message)
        case Status.RUNNING:
            return Explanation(Stage.RUNNING)
        case Status.CANCELLING:
            return Explanation(Stage.CANCELLING)
        case status if status in FINAL:
            return Explanation(Stage.ENDED)
    if task.not_before and task.not_before > timezone.now():
        return _not_yet(task, task.not_before)
    if not leader.exists():
        return Explanation(Stage.NO_SCHEDULER, "No scheduler is running. Start one: python manage.py run_scheduler")
    seen = outlook.of(task)
    if seen.is_gone:
        task.refresh_from_db()
        if task.status != Status.PENDING:
            return explain(task)
    return _in_line(task, seen)


def _not_yet(task: Task, moment: datetime) -> Explanation:
    again = "The last attempt failed; it is tried again" if task.attempt else "It is scheduled, and starts"
    message = f"{again} not before {moment:%Y-%m-%d %H:%M:%S} UTC."
    return Explanation(Stage.BACKOFF if task.attempt else Stage.SCHEDULED, message, earliest=moment)


def _in_line(task: Task, seen: Outlook) -> Explanation:
    unseen = Stage.BEHIND_OTHERS if seen.ahead else Stage.NEXT
    told = Explanation(seen.reason or unseen)
    if seen.forecast is None:
        told = replace(told, more_than=seen.ahead or None)
    else:
        told = replace(told, position=seen.forecast.position, own_position=seen.forecast.own)
        if seen.learnt and seen.reason not in STANDING_STILL:
            told = replace(told, earliest=_from_now(seen.forecast.earliest), latest=_from_now(seen.forecast.latest))
    return replace(told, message=f"{_sentence(told.reason, task)} {_place(told)}".strip())


def _from_now(seconds: float | None) -> datetime | None:
    return None if seconds is None else timezone.now() + timedelta(seconds=seconds)


def _sentence(reason: Reason, task: Task) -> str:
    match reason:
        case WaitReason.QUEUE_PAUSED:
            return _paused(PauseKind.QUEUE, task.task_type, f"The queue {task.task_type}")
        case WaitReason.MODEL_PAUSED:
            return _paused(PauseKind.MODEL, task.model, f"The model {task.model}")
        case WaitReason.ORGANIZATION_PAUSED:
            return _paused(PauseKind.ORGANIZATION, task.organization.slug, "Its organization")
        case WaitReason.NO_WORKER:
            return _nobody()
        case _:
            return SENTENCES.get(reason, "").format(model=task.model, avoid=task.avoid_worker)


SENTENCES: dict[Reason, str] = {
    Stage.NEXT: "A slot is free; it is placed at the scheduler's next look.",
    Stage.BEHIND_OTHERS: "Many tasks wait before it.",
    WaitReason.NO_CAPABLE_WORKER: "No online worker can run {model}: they take other types or models, or have too "
    "little memory.",
    WaitReason.NO_FREE_SLOT: "Every slot that could run it is busy.",
    WaitReason.NO_FREE_MODEL_SLOT: "Every worker that could run it has as many tasks of {model} as it takes.",
    WaitReason.NO_FREE_MEMORY: "There is a free slot, but models at work hold the memory beside it.",
    WaitReason.WARM_WORKER_SOON: "A busy worker has {model} loaded, and is free before it could be loaded elsewhere.",
    WaitReason.COLLECTING: "Work for models that are loaded goes first for a moment, to save loading {model}.",
    WaitReason.AVOIDS_WORKER: "Only {avoid} is free, where it has just failed; it waits for another for a while.",
    WaitReason.MODEL_DISABLED: "The model {model} is not enabled any more. It starts when an operator enables the "
    "model again.",
    WaitReason.MODEL_LIMIT: "As many tasks of {model} run as may run at once.",
    WaitReason.ORGANIZATION_LIMIT: "As many tasks of its organization run as may run at once.",
}


def _paused(kind: PauseKind, name: str, subject: str) -> str:
    pause = Pause.objects.in_force().filter(kind=kind, name=name).first()
    if pause is None:  # it was resumed just now
        return SENTENCES[Stage.NEXT]
    reason = f": {pause.reason}" if pause.reason else ""
    until = f" until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until else ""
    return f"{subject} was paused by {pause.by}{until}{reason}."


def _nobody() -> str:
    now = timezone.now()
    online = [worker for worker in Worker.objects.order_by("name") if health.of(worker, now) == health.Health.ONLINE]
    told = [f"{worker.name} is {_held_back(worker)}" for worker in online if health.is_held_back(worker)]
    return f"No worker takes new work: {', '.join(told)}." if told else "No worker is online."


def _held_back(worker: Worker) -> str:
    return "quarantined" if worker.quarantined_at else "stopping" if worker.stopping else worker.state


def _place(told: Explanation) -> str:
    if told.more_than:
        return f"At least {told.more_than:,} of its own queue stand before it."
    if told.position is None or told.reason in STANDING_STILL or told.reason == Stage.NEXT:
        return ""
    return "It is the first in line." if told.position == 1 else f"{told.position - 1:,} stand before it."


def as_json(told: Explanation) -> dict[str, Any]:
    known = told.earliest is not None or told.latest is not None
    return {
        "reason": told.reason,
        "message": told.message,
        "position": None if told.position is None else {"overall": told.position, "own": told.own_position},
        "more_than": told.more_than,
        "estimated_start": {"earliest": told.earliest, "latest": told.latest} if known else None,
    }
