"""Many tasks submitted as one: store them together, say how far they are, cancel what has not ended.

Called by the API and by `schemas.batch`. What is done to each of its tasks is done by `services`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max

from tasks_app import crash_points, hints, idempotency, quotas, services
from tasks_app.idempotency import Key
from tasks_app.models import Batch, Task
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
        for start in range(0, len(tasks), CHUNK):
            chunk = tasks[start : start + CHUNK]
            services.insert([(identity, replace(task, batch_id=batch.id)) for task in chunk])
        crash_points.reach("submit_batch.before_commit")
    crash_points.reach("submit_batch.after_commit")
    hints.wake_scheduler()
    return batch


def find(identity: Identity, batch_id: UUID) -> Batch | None:
    batches = Batch.objects.select_related("organization", "user").filter(pk=batch_id)
    return (batches if identity.sees_all else batches.filter(organization=identity.organization)).first()


def task_ids(batch: Batch) -> list[UUID]:
    """In the order of the request: their ids sort by age."""
    return list(Task.objects.filter(batch_id=batch.pk).order_by("pk").values_list("pk", flat=True))


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
