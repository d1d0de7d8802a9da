"""Batches of OpenAI's clients: ordinary batches of tasks. Their files are made when somebody looks after the end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from tasks_app import artifacts, batches, hints
from tasks_app.batches import NewBatch, Standing
from tasks_app.models import BatchOutcome, OpenAIBatch, OpenAIFile
from tasks_app.openai import batch_output
from tasks_app.openai.batch_input import Read, read
from tasks_app.openai.batch_output import Output
from tasks_app.states import Status
from tenants_app.identity import Identity

CLOSED_AT_ONCE = 3  # batches of one list whose files are made for it; the others say that they are about to be


class AlreadyEnded(Exception):
    """There is nothing to cancel any more. Says how it ended."""


class _SomebodyWasFirst(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Shown:
    """`standing` is None once it is closed, and for one that was never taken."""

    row: OpenAIBatch
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Page:
    batches: Sequence[Shown]
    more: bool


def create(identity: Identity, file: OpenAIFile, endpoint: str, metadata: dict[str, str]) -> Shown:
    """All of its requests as tasks, or, if one of them is wrong, a batch that has failed and says why."""
    row = OpenAIBatch(
        organization=identity.organization,
        user_id=identity.user_id,
        endpoint=endpoint,
        input_file_id=file.pk,
        metadata=metadata,
        created_at=timezone.now(),
    )
    images: list[str] = []
    with artifacts.discarded_on_failure(images):
        with artifacts.open_file(str(file.artifact.file.name)) as lines:
            found = read(identity, lines, endpoint, images)
        if not found.problems:
            return _take(identity, row, found)
    artifacts.discard(images)
    return _refuse(row, found)


def _take(identity: Identity, row: OpenAIBatch, found: Read) -> Shown:
    with transaction.atomic():
        row.batch = batches.submit(identity, NewBatch(row.metadata), found.tasks)
        row.save(force_insert=True)
    hints.wake_scheduler()
    return Shown(row, batches.standing(row.batch))


def _refuse(row: OpenAIBatch, found: Read) -> Shown:
    row.problems = [asdict(problem) for problem in found.problems]
    row.outcome, row.closed_at = BatchOutcome.FAILED, row.created_at
    row.save(force_insert=True)
    return Shown(row, None)


def _visible_to(identity: Identity) -> QuerySet[OpenAIBatch]:
    rows = OpenAIBatch.objects.select_related("batch", "organization")
    return rows if identity.sees_all else rows.filter(organization=identity.organization)


def find(identity: Identity, batch_id: UUID) -> Shown | None:
    row = _visible_to(identity).filter(pk=batch_id).first()
    return _look(row) if row is not None else None


def page(identity: Identity, limit: int, after: UUID | None) -> Page:
    """Newest first, from behind the batch `after`."""
    rows = _visible_to(identity).order_by("-pk")
    found = list((rows.filter(pk__lt=after) if after is not None else rows)[: limit + 1])
    closed = 0
    shown = []
    for row in found[:limit]:
        was_open = row.closed_at is None
        shown.append(_look(row, close=closed < CLOSED_AT_ONCE))
        closed += was_open and row.closed_at is not None
    return Page(shown, more=len(found) > limit)


def cancel(shown: Shown, by: str) -> Shown:
    """All of it that has not ended is asked to stop. Raises AlreadyEnded."""
    row, standing = shown.row, shown.standing
    if standing is None or standing.finished_at is not None:
        raise AlreadyEnded(row.outcome or "ended")
    OpenAIBatch.objects.filter(pk=row.pk, cancelling_at=None).update(cancelling_at=Now())
    batches.cancel(standing.batch, by)
    row.refresh_from_db()
    return _look(row)


def _look(row: OpenAIBatch, close: bool = True) -> Shown:
    if row.closed_at is not None or row.batch is None:
        return Shown(row, None)
    standing = batches.standing(row.batch)
    if standing.ended == row.batch.total and close:
        _close(row, standing)
        return Shown(row, None)
    return Shown(row, standing)


def _close(row: OpenAIBatch, standing: Standing) -> None:
    """Of several that do this at the same time one writes; `row` is refreshed."""
    with suppress(_SomebodyWasFirst), batch_output.written(row) as output, artifacts.discarded_on_failure(output.names):
        _write(row, standing, output)
    row.refresh_from_db()


@transaction.atomic
def _write(row: OpenAIBatch, standing: Standing, output: Output) -> None:
    changed = OpenAIBatch.objects.filter(pk=row.pk, closed_at=None).update(
        **output.enter(row),
        outcome=_outcome(row, standing),
        ended_at=standing.last_end or row.created_at,
        closed_at=Now(),
        completed=standing.counts[Status.COMPLETED],
        failed=standing.counts[Status.FAILED] + standing.counts[Status.EXPIRED],
    )
    if not changed:
        raise _SomebodyWasFirst


def _outcome(row: OpenAIBatch, standing: Standing) -> BatchOutcome:
    if standing.counts[Status.CANCELLED] and row.cancelling_at is not None:
        return BatchOutcome.CANCELLED
    return BatchOutcome.EXPIRED if standing.counts[Status.EXPIRED] else BatchOutcome.COMPLETED


def status_of(shown: Shown) -> str:
    """By the words of these clients."""
    if shown.standing is None:
        return shown.row.outcome or BatchOutcome.COMPLETED
    if shown.standing.finished_at is not None:
        return "finalizing"
    return "cancelling" if shown.row.cancelling_at else "in_progress"
