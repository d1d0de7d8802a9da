"""The use-cases: submit, cancel, retry, delete. Views, admin actions and pages parse, call one of these, render."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from tasks_app import artifacts, capability, crash_points, dispatch, events, hints, idempotency, quotas, transitions
from tasks_app.idempotency import Key
from tasks_app.models import Artifact, Task, UsageRecord
from tasks_app.models.usage import ACCOUNTED
from tasks_app.outcomes import StoredArtifact
from tasks_app.retries import POISON_DEATHS
from tasks_app.states import FINAL, HELD, STOPPABLE, Status
from tenants_app.identity import Identity
from tenants_app.ids import uuid7
from workers_app.models import Worker
from workers_app.selectors import find_model


class TaskActive(Exception):
    """The task has not ended yet."""


class NotFinished(Exception):
    """Only a task that ended can be tried again."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated request. Durations in seconds; `input_artifacts` are stored already and get their rows with it."""

    task_type: str
    model: str
    input: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    priority: int = 5
    start_timeout: float | None = None
    execution_timeout: float = 600.0
    max_attempts: int = 3
    run_at: datetime | None = None
    webhook_url: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    batch_id: UUID | None = None
    retry_of: UUID | None = None
    engine_deaths: int = 0
    id: UUID = field(default_factory=uuid7)
    input_artifacts: Sequence[StoredArtifact] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """`replayed`: an earlier request with the same idempotency key made it."""

    task: Task
    replayed: bool


def submit(identity: Identity, new: NewTask) -> Task:
    return submit_once(identity, new, None).task


def submit_once(identity: Identity, new: NewTask, key: Key | None) -> Submitted:
    """One commit is the promise; the wake-up after it may be lost.

    With a key that somebody used first it is the task that they made. Raises KeyReused, and Task.DoesNotExist if that
    task has been deleted.
    """
    with transaction.atomic():
        if key is not None and (first := idempotency.take(key, new.id)) != new.id:
            return Submitted(Task.objects.get(pk=first), replayed=True)
        [task] = insert([(identity, new)])
        crash_points.reach("submit.before_commit")
    crash_points.reach("submit.after_commit")
    hints.wake_scheduler()
    return Submitted(task, replayed=False)


def insert(submissions: Sequence[tuple[Identity, NewTask]], admitted: bool = False) -> list[Task]:
    """Rows, input artifacts and first events of new tasks: a statement each, in the caller's transaction.

    `admitted`: the caller has asked `quotas` for all of them at once. Raises NotPermitted for a model that the key may
    not use, and LimitReached.
    """
    for identity, new in submissions:
        identity.require_model(new.model)
    if not admitted:
        quotas.admit(Counter(identity.organization for identity, _ in submissions))
    now = timezone.now()
    tasks = Task.objects.bulk_create(_row(identity, new, now) for identity, new in submissions)
    Artifact.objects.bulk_create(
        Artifact(**asdict(stored), organization=identity.organization, task_id=new.id, is_input=True)
        for identity, new in submissions
        for stored in new.input_artifacts
    )
    events.append((new.id, 1, events.CREATED, {"by": identity.username}) for identity, new in submissions)
    return tasks


def _row(identity: Identity, new: NewTask, now: datetime) -> Task:
    return Task(
        id=new.id,
        organization=identity.organization,
        user_id=identity.user_id,
        api_key_id=identity.api_key_id,
        task_type=new.task_type,
        model=new.model,
        input=new.input,
        parameters=new.parameters,
        priority=new.priority,
        start_timeout=new.start_timeout,
        start_deadline=now + timedelta(seconds=new.start_timeout) if new.start_timeout is not None else None,
        execution_timeout=new.execution_timeout,
        max_attempts=new.max_attempts,
        not_before=new.run_at,
        webhook_url=new.webhook_url,
        metadata=new.metadata,
        batch_id=new.batch_id,
        retry_of=new.retry_of,
        engine_deaths=new.engine_deaths,
        last_seq=1,
        created_at=now,
    )


class CancelAnswer(StrEnum):
    CANCELLED = "cancelled"
    CANCELLING = "cancelling"
    ALREADY_FINISHED = "already_finished"


def cancel(task: Task, by: str) -> CancelAnswer:
    """Ask a task to stop; `task` is refreshed, and the answer agrees with what it says."""
    cancel_many([task.id], by)
    task.refresh_from_db()
    match task.status:
        case Status.CANCELLED:
            return CancelAnswer.CANCELLED
        case Status.CANCELLING:
            return CancelAnswer.CANCELLING
        case _:
            return CancelAnswer.ALREADY_FINISHED


def cancel_many(task_ids: Sequence[UUID], by: str) -> dict[UUID, Status]:
    """What became of those that this call stopped or asked to stop. Workers are told at once, and find out by
    themselves anyway.
    """
    rows = transitions.request_cancel(task_ids, by)
    if len(task_ids) > 1:
        for task_id in _passed_over(task_ids, rows):
            rows += transitions.request_cancel([task_id], by)
    on_worker = [row for row in rows if row.worker and row.attempt_id]
    hostnames = dict(Worker.objects.filter(name__in={r.worker for r in on_worker}).values_list("name", "hostname"))
    dispatch.tell_to_cancel([(hostnames[r.worker], r.attempt_id) for r in on_worker if r.worker in hostnames])
    hints.wake_scheduler()
    return {row.id: Status(row.status) for row in rows}


def _passed_over(task_ids: Sequence[UUID], rows: Sequence[Any]) -> list[UUID]:
    """What a cancel of many left out because it was just being written."""
    missing = set(task_ids) - {row.id for row in rows}
    stoppable = Task.objects.filter(pk__in=missing, status__in=sorted(STOPPABLE))
    return list(stoppable.values_list("pk", flat=True)) if missing else []


def retry(identity: Identity, task: Task) -> Task:
    return retry_once(identity, task, None).task


def retry_once(identity: Identity, task: Task, key: Key | None) -> Submitted:
    """A final state never changes, so trying again is a new task that names the old one.

    Raises NotFinished, and NoCapableWorker.
    """
    if task.status not in FINAL:
        raise NotFinished
    if model := find_model(task.task_type, task.model):
        capability.refuse_if_nobody_could(model)
    return submit_once(*again(identity, task), key)


def again(identity: Identity, task: Task) -> tuple[Identity, NewTask]:
    """The same wish once more, for the organization whose task it was, in the name of whoever asks."""
    return replace(identity, organization=task.organization), NewTask(
        task_type=task.task_type,
        model=task.model,
        input=task.input,
        parameters=task.parameters,
        priority=task.priority,
        start_timeout=task.start_timeout,
        execution_timeout=task.execution_timeout,
        max_attempts=task.max_attempts,
        webhook_url=task.webhook_url,
        metadata=task.metadata,
        retry_of=task.id,
        engine_deaths=min(task.engine_deaths, POISON_DEATHS - 1),  # whoever is under suspicion stays there
    )


def delete(task: Task, by: str, force: bool = False) -> None:
    """The row, its log and its artifacts go, what it cost stays. Raises TaskActive while it has not ended.

    With `force` an active task is cancelled first; its worker finds its lease gone and discards what it made.
    """
    if task.status not in FINAL:
        if not force:
            raise TaskActive
        cancel(task, by)
    deleted = delete_many([task.pk], force)
    if not deleted and Task.objects.filter(pk=task.pk).exists():
        raise TaskActive


def delete_many(task_ids: Sequence[UUID], force: bool = False) -> list[UUID]:
    """Which of them are gone now: those that had ended, with `force` any. One commit."""
    with transaction.atomic():
        chosen = Task.objects.filter(pk__in=task_ids)
        if not force:
            chosen = chosen.filter(status__in=sorted(FINAL))
        rows = list(chosen.order_by("pk").select_for_update().only("pk", "started_at", *ACCOUNTED))
        gone = [row.pk for row in rows]
        files = list(Artifact.objects.filter(task_id__in=gone).values_list("file", flat=True))
        UsageRecord.objects.bulk_create(_account(row) for row in rows)
        Task.objects.filter(pk__in=gone).delete()
        transaction.on_commit(lambda: artifacts.discard(files))
    hints.changed(dict.fromkeys(gone, True))
    hints.wake_scheduler()
    return gone


def change_priority(task: Task, priority: int, by: str) -> bool:
    """Whether it has this priority now: only a task that waits can be moved. `task` is refreshed."""
    transitions.change_priority([task.id], priority, by)
    hints.wake_scheduler()
    task.refresh_from_db()
    return task.status == Status.PENDING and task.priority == priority


def _account(task: Task) -> UsageRecord:
    """One that is deleted at work has held its device until now, as far as anybody will ever know."""
    account = {name: getattr(task, name) for name in ACCOUNTED}
    now = timezone.now()
    if task.status in HELD and task.started_at:
        account["gpu_seconds"] += (now - task.started_at).total_seconds()
    return UsageRecord(id=task.pk, **{**account, "completed_at": task.completed_at or now})
