"""How many tasks, how well and how fast, for one organization or all. One answer per second and process is enough."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q
from django.utils import timezone

from tasks_app.models import Task
from tasks_app.models.task import TaskQuerySet
from tasks_app.selectors import CLOCK_SLACK, first_id_at
from tasks_app.states import Status
from tenants_app.identity import Identity

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "all": None}
SAMPLE = 10_000  # newest started, and newest cancelled rows, that the percentiles are read from
THROUGHPUT_OVER = timedelta(minutes=5)
CACHE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Cached:
    at: float
    metrics: dict[str, Any]


_cache: dict[tuple[Any, str], _Cached] = {}
_cache_lock = threading.Lock()  # one thread counts, the others wait for its answer


def read(identity: Identity, window: str) -> dict[str, Any]:
    """`window` is a key of WINDOWS."""
    key = (None if identity.sees_all else identity.organization.pk, window)
    with _cache_lock:
        cached = _cache.get(key)
        if cached is None or time.monotonic() - cached.at > CACHE_SECONDS:
            cached = _cache[key] = _Cached(time.monotonic(), compute(identity, window))
    return cached.metrics


def forget() -> None:
    with _cache_lock:
        _cache.clear()


def compute(identity: Identity, window: str) -> dict[str, Any]:
    tasks = _within(Task.objects.visible_to(identity), WINDOWS[window])
    in_execution = ExpressionWrapper(F("completed_at") - F("started_at"), DurationField())
    groups = list(
        tasks.order_by()
        .values("task_type", "model", "status")
        .annotate(count=Count("id"), seconds=Avg(in_execution, filter=Q(status=Status.COMPLETED)))
    )
    by_status: Counter[str] = Counter()
    by_type: Counter[str] = Counter()
    by_model: Counter[str] = Counter()
    executed = 0.0
    for group in groups:
        by_status[group["status"]] += group["count"]
        by_type[group["task_type"]] += group["count"]
        by_model[group["model"]] += group["count"]
        executed += group["seconds"].total_seconds() * group["count"] if group["seconds"] else 0.0
    completed, failed = by_status[Status.COMPLETED], by_status[Status.FAILED]
    return {
        "window": window,
        "total_tasks": by_status.total(),
        "pending_tasks": by_status[Status.PENDING] + by_status[Status.DISPATCHED],
        "running_tasks": by_status[Status.RUNNING] + by_status[Status.CANCELLING],
        "completed_tasks": completed,
        "failed_tasks": failed,
        "cancelled_tasks": by_status[Status.CANCELLED],
        "expired_tasks": by_status[Status.EXPIRED],
        "success_rate": round(100 * completed / (completed + failed), 1) if completed + failed else 0.0,
        "average_execution_time": round(executed / completed, 3) if completed else 0.0,
        "by_task_type": dict(by_type),
        "by_model": dict(by_model),
        "queue_wait_seconds": _queue_wait(tasks),
        **_cancels(tasks),
        "throughput_per_minute": _throughput(Task.objects.visible_to(identity)),
    }


def _within(tasks: TaskQuerySet, window: timedelta | None) -> TaskQuerySet:
    if window is None:
        return tasks
    begin = timezone.now() - window
    return tasks.filter(pk__gte=first_id_at(begin - CLOCK_SLACK), created_at__gte=begin)


def _queue_wait(tasks: TaskQuerySet) -> dict[str, float | None]:
    newest = tasks.filter(queue_seconds__isnull=False).order_by("-id").values_list("queue_seconds", flat=True)[:SAMPLE]
    return _percentiles([wait for wait in newest if wait is not None])


def _cancels(tasks: TaskQuerySet) -> dict[str, Any]:
    """How long from the wish to the stop, and how it was stopped; of the newest cancelled tasks."""
    cancelled = tasks.filter(status=Status.CANCELLED).order_by("-id").values_list("cancellation", flat=True)[:SAMPLE]
    seen = [cancellation for cancellation in cancelled if cancellation]
    return {
        "cancel_seconds": _percentiles([_seconds_to_stop(cancellation) for cancellation in seen]),
        "by_cancel_mode": dict(Counter(cancellation["mode"] for cancellation in seen)),
    }


def _seconds_to_stop(cancellation: dict[str, str]) -> float:
    asked, stopped = (datetime.fromisoformat(cancellation[name]) for name in ("requested_at", "stopped_at"))
    return (stopped - asked).total_seconds()


def _percentiles(values: Iterable[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    return {f"p{percent}": round(_percentile(ordered, percent), 3) if ordered else None for percent in (50, 95, 99)}


def _percentile(ordered: list[float], percent: int) -> float:
    """The nearest rank: a value that was really seen."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _throughput(tasks: TaskQuerySet) -> float:
    recent = tasks.filter(status=Status.COMPLETED, completed_at__gte=timezone.now() - THROUGHPUT_OVER).count()
    return round(recent / (THROUGHPUT_OVER.total_seconds() / 60), 2)
