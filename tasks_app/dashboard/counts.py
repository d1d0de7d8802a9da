"""How many tasks of each type stand where: the numbers on top of the overview."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, Min
from django.utils import timezone

from tasks_app.models import Task
from tasks_app.models.task import TaskQuerySet
from tasks_app.selectors import CLOCK_SLACK, first_id_at
from tasks_app.states import ACTIVE, HELD, Status
from tenants_app.identity import Identity
from workers_app.models import TaskType

WINDOW = timedelta(days=1)  # ended tasks are counted from here on
CACHE_SECONDS = 1.0  # all viewers of a process share one answer


@dataclass(frozen=True, slots=True)
class Counts:
    label: str
    task_type: str = ""
    waiting: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    oldest: datetime | None = None  # when the longest waiting one came

    @property
    def failed_percent(self) -> float:
        ended = self.completed + self.failed
        return 100 * self.failed / ended if ended else 0.0


@dataclass(slots=True)
class _Tally:
    by_status: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    oldest: datetime | None = None

    def of(self, *statuses: str) -> int:
        return sum(self.by_status[status] for status in statuses)


def read(identity: Identity) -> list[Counts]:
    """All types together first, then each of them."""
    whose = "all" if identity.sees_all else str(identity.organization.pk)
    counts = cache.get_or_set(f"baton-counts-{whose}", lambda: compute(identity), CACHE_SECONDS)
    assert isinstance(counts, list)
    return counts


def compute(identity: Identity) -> list[Counts]:
    visible = Task.objects.visible_to(identity).order_by()
    begin = timezone.now() - WINDOW
    ended = visible.filter(pk__gte=first_id_at(begin - CLOCK_SLACK), created_at__gte=begin).exclude(
        status__in=sorted(ACTIVE)
    )
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for tasks in (visible.active(), ended):
        for task_type, status, number, first in _grouped(tasks):
            for tally in (tallies[""], tallies[task_type]):
                tally.by_status[status] += number
                if status == Status.PENDING:
                    tally.oldest = min(first, tally.oldest or first)
    return [_counts("All tasks", "", tallies[""])] + [_counts(t.label, t, tallies[t]) for t in TaskType]


def _grouped(tasks: TaskQuerySet) -> list[tuple[str, str, int, datetime]]:
    groups = tasks.values("task_type", "status").annotate(number=Count("id"), first=Min("created_at"))
    return list(groups.values_list("task_type", "status", "number", "first"))


def _counts(label: str, task_type: str, tally: _Tally) -> Counts:
    return Counts(
        label,
        task_type,
        waiting=tally.of(Status.PENDING, Status.DISPATCHED),
        running=tally.of(*HELD),
        completed=tally.of(Status.COMPLETED),
        failed=tally.of(Status.FAILED, Status.EXPIRED),
        cancelled=tally.of(Status.CANCELLED),
        oldest=tally.oldest,
    )
