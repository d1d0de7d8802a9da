"""Many tasks submitted as one: store them together, say how far they are, cancel what has not ended.

Called by the API and by `schemas.batch`. What is done to each of its tasks is done by `services`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max

from tasks_app import crash_points, hints, idempotency, quotas, selectors, services
from tasks_app.bulk import FAILURES
from tasks_app.idempotency import Key
from tasks_app.models import Batch, Task
from tasks_app.selectors import Shown
from tasks_app.services import NewTask
from tasks_app.states import FINAL, STOPPABLE, Status
from tenants_app.identity import Identity
from tenants_app.ids import uuid7

MAX_TASKS = 10_000  # of one batch: about as many as fit into a body, and into one commit of some seconds
CHUNK = 500  # rows of one statement


@dataclass(frozen=True, slots=True)
class NewBatch:
    metadata: dict[str, str] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a batch is. Tasks that were deleted are in `batch.total` and in no count."""

    batch: Batch
    counts: Mapping[Status, int]
    last_end: datetime | None

    @property
    def ended(self) -> int:
        """Deleted ones too: nothing comes of them any more."""
        return self.batch.total - sum(self.counts[status] for status in Status if status not in FINAL)

    @property
    def finished_at(self) -> datetime | None:
        return self.last_end if self.ended == self.batch.total else None


@dataclass(frozen=True, slots=True)
class RetriedBatch:
    """`batch_id`: of the new batch, None if nothing was left. `replayed`: the same request made it before."""

    batch_id: UUID | None
    retried: int
    already_retried: int
    not_failed: int
    replayed: bool = False


def submit(identity: Identity, new: NewBatch, tasks: Sequence[NewTask], key: Key | None = None) -> Batch:
    """All of the tasks in one commit. With a key that somebody used first: their batch, and nothing is stored.

    Raises NotPermitted and LimitReached.
    """
    with transaction.atomic():
        if key is not None and (first := idempotency.take(key, new.id)) != new.id:
            return Batch.objects.get(pk=first)
        quotas.admit({identity.organization: len(tasks)})
        batch = Batch.objects.create(
            id=new.id,
            organization=identity.organization,
            user_id=identity.user_id,
            total=len(tasks),
            metadata=new.metadata,
        )
        _insert([(identity, task) for task in tasks], batch.id)
        crash_points.reach("submit_batch.before_commit")
    crash_points.reach("submit_batch.after_commit")
    hints.wake_scheduler()
    return batch


def _insert(tasks: Sequence[tuple[Identity, NewTask]], batch_id: UUID) -> None:
    """Of tasks that were admitted together."""
    for start in range(0, len(tasks), CHUNK):
        chunk = tasks[start : start + CHUNK]
        services.insert([(owner, replace(task, batch_id=batch_id)) for owner, task in chunk], admitted=True)


def find(identity: Identity, batch_id: UUID) -> Batch | None:
    batches = Batch.objects.select_related("organization", "user").filter(pk=batch_id)
    return (batches if identity.sees_all else batches.filter(organization=identity.organization)).first()


def task_ids(batch: Batch) -> list[UUID]:
    """In the order of the request: their ids sort by age."""
    return list(Task.objects.filter(batch_id=batch.pk).order_by("pk").values_list("pk", flat=True))


def ended_tasks(batch: Batch) -> Iterator[list[Shown]]:
    """Those that have ended, in the order of the request, some at a time."""
    return selectors.in_order(Task.objects.filter(batch_id=batch.pk, status__in=sorted(FINAL)), CHUNK)


def standing(batch: Batch) -> Standing:
    rows = Task.objects.filter(batch_id=batch.pk).order_by().values("status")
    groups = rows.annotate(count=Count("pk"), last_end=Max("completed_at"))
    counts = dict.fromkeys(Status, 0) | {Status(group["status"]): group["count"] for group in groups}
    return Standing(batch, counts, max((group["last_end"] for group in groups if group["last_end"]), default=None))


def cancel(batch: Batch, by: str) -> Standing:
    """Cancel all that has not ended, and say how the batch stands after it."""
    stoppable = Task.objects.filter(batch_id=batch.pk, status__in=sorted(STOPPABLE))
    ids = list(stoppable.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        services.cancel_many(ids[start : start + CHUNK], by)
    return standing(batch)


def retry(identity: Identity, batch: Batch, key: Key | None = None) -> RetriedBatch:
    """A new batch of the tasks that failed or expired and were not retried before, in one commit.

    Of two that ask at once one waits for the other, and finds nothing left to do; with the other's key it is told what
    that one made. A key under which nothing was made is free still. Raises KeyReused.
    """
    with transaction.atomic():
        locked = Task.objects.select_related("organization").select_for_update(of=("self",), no_key=True)
        failed = list(locked.filter(batch_id=batch.pk, status__in=sorted(FAILURES)).order_by("pk"))
        rest = Task.objects.filter(batch_id=batch.pk).exclude(status__in=sorted(FAILURES)).count()
        if key is not None and (first := idempotency.find(key)):
            made = Batch.objects.get(pk=first)
            return RetriedBatch(first, made.total, len(failed) - made.total, rest, replayed=True)
        known = set(Task.objects.filter(retry_of__in=[t.pk for t in failed]).values_list("retry_of", flat=True))
        fresh = [services.again(identity, task) for task in failed if task.pk not in known]
        new = _again(identity, batch, fresh) if fresh else None
        if key is not None and new is not None:
            idempotency.take(key, new)
        crash_points.reach("retry_batch.before_commit")
    crash_points.reach("retry_batch.after_commit")
    hints.wake_scheduler()
    return RetriedBatch(new, len(fresh), len(failed) - len(fresh), rest)


def _again(identity: Identity, batch: Batch, tasks: Sequence[tuple[Identity, NewTask]]) -> UUID:
    quotas.admit({batch.organization: len(tasks)})
    new = Batch.objects.create(
        organization=batch.organization, user_id=identity.user_id, total=len(tasks), metadata=batch.metadata
    )
    _insert(tasks, new.id)
    return new.id
