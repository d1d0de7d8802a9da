"""Reading tasks: one of them, pages of them, their parts. Every function sees only what the identity may see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, F, Min, Q
from django.utils import timezone

from tasks_app.models import Artifact, Attempt, Task
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import HELD, Status
from tenants_app.identity import Identity
from workers_app.models import TaskType
from workers_app.stats import Load

SEARCHED_ROWS = 10_000  # newest; a substring has no index
CLOCK_SLACK = timedelta(minutes=1)  # an id may be this much older or newer than its row's created_at
ID_PREFIX = re.compile(r"[0-9a-f-]{1,36}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list is narrowed to; None and empty mean: not."""

    statuses: frozenset[Status] = frozenset()
    task_type: str | None = None
    model: str | None = None
    worker_id: str | None = None
    batch_id: UUID | None = None
    user: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None
    error_code: str | None = None
    error_message: str | None = None  # exactly this


@dataclass(frozen=True, slots=True)
class Shown:
    """A task with all that its rendering reads, so that no row asks the database again."""

    task: Task
    organization: str
    user: str | None
    outputs: Sequence[Artifact] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `newer` and `older`: are there rows beyond this page?"""

    tasks: Sequence[Shown]
    newer: bool
    older: bool


# The hottest read: written out, because compiling the same query again costs more than running it.
ONE = """
SELECT t.*, o.slug AS organization_slug, u.username AS username
  FROM tasks_app_task t
  JOIN tenants_app_organization o ON o.id = t.organization_id
  LEFT JOIN auth_user u ON u.id = t.user_id
 WHERE t.id = %s AND (%s OR t.organization_id = %s)
"""


def find_task(identity: Identity, task_id: UUID) -> Shown | None:
    rows = Task.objects.raw(ONE, [task_id, identity.sees_all, identity.organization.pk])
    return next(iter(_shown(rows)), None)


def submitted(identity: Identity, task: Task) -> Shown:
    """A task that this identity has just made."""
    return Shown(task, identity.organization.slug, identity.username if identity.user_id else None)


def list_tasks(identity: Identity, narrowed: TaskFilter) -> TaskQuerySet:
    """Not ordered, not cut; `page` does that."""
    visible = Task.objects.visible_to(identity)
    tasks = visible.filter(_conditions(narrowed))
    if narrowed.user is not None:
        # By its id, whose frequency the planner knows; through a join it would read all tasks to find few.
        user = User.objects.filter(username=narrowed.user).values_list("pk", flat=True).first()
        tasks = tasks.filter(user_id=user) if user is not None else tasks.none()
    if narrowed.q:
        tasks = tasks.filter(_matches(narrowed.q))
        if oldest := visible.order_by("-id").values_list("pk", flat=True)[SEARCHED_ROWS - 1 : SEARCHED_ROWS].first():
            tasks = tasks.filter(pk__gte=oldest)
    return tasks


def page(tasks: TaskQuerySet, limit: int, before: UUID | None = None, after: UUID | None = None) -> Page:
    """The `limit` rows next to a row that was seen: older than `before`, or newer than `after`."""
    named = tasks.annotate(organization_slug=F("organization__slug"), username=F("user__username"))
    if after is not None:
        rows = list(named.filter(pk__gt=after).order_by("id")[: limit + 1])
        return Page(_shown(rows[:limit][::-1]), newer=len(rows) > limit, older=True)
    if before is not None:
        named = named.filter(pk__lt=before)
    rows = list(named.order_by("-id")[: limit + 1])
    return Page(_shown(rows[:limit]), newer=before is not None, older=len(rows) > limit)


def in_order(tasks: TaskQuerySet, size: int) -> Iterator[list[Shown]]:
    """All of them, oldest first, `size` at a time; each page is as the database is when it is read."""
    named = tasks.annotate(organization_slug=F("organization__slug"), username=F("user__username")).order_by("id")
    rows = list(named[:size])
    while rows:
        yield _shown(rows)
        rows = list(named.filter(pk__gt=rows[-1].pk)[:size])


def _shown(rows: Iterable[Task]) -> list[Shown]:
    """Of rows that carry `organization_slug` and `username`."""
    tasks = list(rows)
    outputs = _outputs_of(tasks)
    return [
        Shown(task, vars(task)["organization_slug"], vars(task)["username"], outputs.get(task.pk, ())) for task in tasks
    ]


def _outputs_of(tasks: Iterable[Task]) -> dict[UUID, list[Artifact]]:
    """What completed tasks made, by task. Artifacts come with that status or not at all, so often this asks nothing."""
    completed = [task.pk for task in tasks if task.status == Status.COMPLETED]
    outputs: dict[UUID, list[Artifact]] = {}
    if completed:
        for row in Artifact.objects.filter(task__in=completed, is_input=False).order_by("id"):
            assert row.task_id is not None
            outputs.setdefault(row.task_id, []).append(row)
    return outputs


def attempts_of(task: Task) -> list[Attempt]:
    return list(Attempt.objects.filter(task=task).order_by("number"))


def find_artifact(identity: Identity, artifact_id: UUID) -> Artifact | None:
    artifacts = Artifact.objects.filter(pk=artifact_id)
    return (artifacts if identity.sees_all else artifacts.filter(organization=identity.organization)).first()


def _conditions(narrowed: TaskFilter) -> Q:
    exact: dict[str, Any] = {
        "task_type": narrowed.task_type,
        "model": narrowed.model,
        "worker": narrowed.worker_id,
        "batch_id": narrowed.batch_id,
        "error__code": narrowed.error_code,
        "error__message": narrowed.error_message,
        "created_at__gt": narrowed.created_after,
        "created_at__lt": narrowed.created_before,
    }
    condition = Q(**{name: value for name, value in exact.items() if value is not None})
    if narrowed.statuses:
        condition &= Q(status__in=sorted(narrowed.statuses))
    if narrowed.error_code is not None or narrowed.error_message is not None:
        condition &= Q(status=Status.FAILED)  # no other has an error, and it has an index
    # The ids begin with their time, so these serve the same index as the order does.
    if narrowed.created_after:
        condition &= Q(pk__gte=first_id_at(narrowed.created_after - CLOCK_SLACK))
    if narrowed.created_before:
        condition &= Q(pk__lte=first_id_at(narrowed.created_before + CLOCK_SLACK))
    return condition


def first_id_at(moment: datetime) -> UUID:
    """No UUIDv7 of that time or later sorts before it: 48 bits of milliseconds, then zeros."""
    milliseconds = min(max(int(moment.timestamp() * 1000), 0), 2**48 - 1)
    return UUID(int=milliseconds << 80)


def _matches(q: str) -> Q:
    text = Q(input__prompt__icontains=q) | Q(input__text__icontains=q) | Q(input__messages__icontains=q)
    if ID_PREFIX.match(q.lower()) and (digits := q.lower().replace("-", "")):
        text |= Q(pk__range=(UUID(digits.ljust(32, "0")[:32]), UUID(digits.ljust(32, "f")[:32])))
    return text


def loads() -> dict[str, Load]:
    """What the workers have to do, by name. Of all organizations: operators' numbers, without names."""
    held = Count("id", filter=Q(status__in=sorted(HELD)))
    reserved = Count("id", filter=Q(status=Status.DISPATCHED))
    rows = Task.objects.on_worker().order_by().values_list("worker").annotate(held=held, reserved=reserved)
    return {worker: Load(active, waiting) for worker, active, waiting in rows}


def queues() -> list[dict[str, Any]]:
    """Each task type: how many wait, how long the oldest has, how many are on workers. Of all organizations."""
    waiting = {
        task_type: (length, oldest)
        for task_type, length, oldest in Task.objects.waiting()
        .order_by()
        .values_list("task_type")
        .annotate(Count("id"), Min("created_at"))
    }
    running = dict(Task.objects.on_worker().order_by().values_list("task_type").annotate(Count("id")))
    found = []
    for name in TaskType.values:
        length, oldest = waiting.get(name, (0, None))
        found.append({"name": name, "length": length, "oldest_seconds": _age(oldest), "running": running.get(name, 0)})
    return found


def _age(moment: datetime | None) -> float:
    return max(0.0, round((timezone.now() - moment).total_seconds(), 3)) if moment else 0.0


def queue_info() -> dict[str, dict[str, Any]]:
    """How many wait in the queue of record, and how long the oldest has. Of all organizations."""
    waiting = Task.objects.waiting().aggregate(length=Count("id"), oldest=Min("created_at"))
    name = settings.CELERY_TASK_DEFAULT_QUEUE
    return {name: {"length": waiting["length"], "oldest_seconds": _age(waiting["oldest"])}}
