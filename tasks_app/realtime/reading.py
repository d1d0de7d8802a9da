"""What followers read of the database. Runs on the web process's threads; who may follow was asked before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from tasks_app import selectors
from tasks_app.api import render
from tasks_app.models import Task, TaskEvent
from tasks_app.realtime import events
from tenants_app.identity import Identity
from tenants_app.models import Organization

EVERYBODY = Identity(Organization(), None, "follower", sees_all=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the log; the last one's data is the whole task."""

    seq: int
    type: str
    at: datetime
    data: dict[str, Any]


def log_after(task_id: UUID, seq: int) -> Sequence[Line]:
    """What the log has after `seq`; if the task is gone, a line that says so."""
    rows = TaskEvent.objects.filter(task=task_id, seq__gt=seq).order_by("seq").values_list("seq", "type", "at", "data")
    lines = [Line(*row) for row in rows]
    if not lines and not Task.objects.filter(pk=task_id).exists():
        return [_deleted(seq)]
    if lines and lines[-1].type in events.LAST:
        last, whole = lines[-1], snapshot(task_id)
        lines[-1] = Line(last.seq, last.type, last.at, whole) if whole else _deleted(seq)
    return lines


def _deleted(seq: int) -> Line:
    return Line(seq, events.DELETED, timezone.now(), {})


def snapshot(task_id: UUID) -> dict[str, Any] | None:
    """The whole task, as GET /tasks/{id} shows it; None if it is gone."""
    shown = selectors.find_task(EVERYBODY, task_id)
    return render.task(shown) if shown else None


def last_seq(task_id: str) -> int:
    """0 if there is no such task."""
    try:
        return last_seqs([str(UUID(task_id))]).get(str(UUID(task_id)), 0)
    except ValueError:
        return 0


def last_seqs(task_ids: Iterable[str]) -> dict[str, int]:
    """By task; what is missing is gone."""
    return {str(pk): seq for pk, seq in Task.objects.filter(pk__in=list(task_ids)).values_list("pk", "last_seq")}
