"""Filter, score, choose: the worker for one task. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WaitingTask:
    task_id: UUID
    task_type: str
    model: str
    priority: int  # 10 is most urgent
    memory_mib: int = 0  # what its model needs; 0 if unknown
    avoid_worker: str | None = None  # it just failed this task


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that is online and active, as the policy sees it."""

    name: str
    kinds: frozenset[str]
    slots: int
    free_slots: int
    allowed_models: frozenset[str] = frozenset()  # empty: all
    warm: frozenset[str] = frozenset()  # names of loaded models
    memory_total_mib: int = 0  # 0 if unknown


def capable(task: WaitingTask, worker: WorkerView) -> bool:
    """Could this worker ever run the task?"""
    return (
        task.task_type in worker.kinds
        and (not worker.allowed_models or task.model in worker.allowed_models)
        and (not worker.memory_total_mib or task.memory_mib <= worker.memory_total_mib)
    )


def choose(task: WaitingTask, workers: Iterable[WorkerView]) -> WorkerView | None:
    """The best capable worker with a free slot; the one that just failed this task only if there is no other."""
    candidates = [worker for worker in workers if worker.free_slots > 0 and capable(task, worker)]
    others = [worker for worker in candidates if worker.name != task.avoid_worker]
    return max(others or candidates, key=lambda worker: score(task, worker), default=None)


def score(task: WaitingTask, worker: WorkerView) -> tuple[bool, float, str]:
    """Warm before cold, then the largest share of free slots; the name makes it deterministic."""
    return task.model in worker.warm, worker.free_slots / worker.slots, worker.name
