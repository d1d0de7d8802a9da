"""Could any worker ever run it? Asked once for each submit, of the workers that are registered, online or not."""

from __future__ import annotations

import threading
import time
from collections import Counter

from tasks_app.scheduling.placement import capable
from tasks_app.scheduling.reading import view_of
from tasks_app.scheduling.snapshot import WaitingTask, WorkerView
from tenants_app.ids import uuid7
from workers_app.models import Model
from workers_app.selectors import registered_workers

CACHE_SECONDS = 1.0


class NoCapableWorker(Exception):
    """Tells what is missing."""


_lock = threading.Lock()
_seen: tuple[float, list[WorkerView]] = (float("-inf"), [])


def refuse_if_nobody_could(model: Model) -> None:
    """Raises NoCapableWorker. While no worker at all is registered nobody knows, and everything is taken."""
    views = _views()
    task = WaitingTask(uuid7(), model.task_type, model.name, priority=1, memory_mib=model.needs_mib)
    if views and not model.worker_may_come and not any(capable(task, view) for view in views):
        raise NoCapableWorker(_what_is_missing(model, views))


def forget() -> None:
    global _seen
    _seen = (float("-inf"), [])


def _views() -> list[WorkerView]:
    global _seen
    with _lock:
        if time.monotonic() - _seen[0] > CACHE_SECONDS:
            _seen = time.monotonic(), [view_of(worker, Counter()) for worker in registered_workers()]
        return _seen[1]


def _what_is_missing(model: Model, views: list[WorkerView]) -> str:
    of_kind = [view for view in views if model.task_type in view.kinds]
    if not of_kind:
        return f"No worker runs tasks of type {model.task_type}."
    allowed = [view for view in of_kind if not view.allowed_models or model.name in view.allowed_models]
    if not allowed:
        return f"No worker that runs {model.task_type} may run {model.name}; their WORKER_MODELS name others."
    most = max(view.memory_total_mib for view in allowed)
    return f"{model.name} needs {model.needs_mib} MiB, and the largest device that may run it has {most} MiB."
