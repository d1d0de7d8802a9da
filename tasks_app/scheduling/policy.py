"""The policy: a pure function from what waits and who is free to what is placed where. No I/O, no clock of its own.

Fair share, quotas and ageing belong into `order`; model swaps and learnt times into `placement.score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from tasks_app.decisions import Placement
from tasks_app.scheduling import placement
from tasks_app.scheduling.placement import WaitingTask, WorkerView
from tenants_app.ids import uuid7


class WaitReason(StrEnum):
    """Why a task was not placed in a round."""

    NO_WORKER = "no_worker"  # nobody online and active
    NO_CAPABLE_WORKER = "no_capable_worker"  # none of them runs this type, may run this model, or can hold it
    NO_FREE_SLOT = "no_free_slot"


@dataclass(frozen=True, slots=True)
class Wait:
    task_id: UUID
    reason: WaitReason


def plan(waiting: Iterable[WaitingTask], workers: Sequence[WorkerView]) -> list[Placement | Wait]:
    """One decision per waiting task, most urgent first; never more placements on a worker than it has free slots."""
    views = {w.name: w for w in workers}
    decisions: list[Placement | Wait] = []
    for task in order(waiting):
        worker = placement.choose(task, views.values())
        if worker is None:
            decisions.append(Wait(task.task_id, _reason(task, views.values())))
            continue
        decisions.append(Placement(task.task_id, worker.name, uuid7()))
        # The next decision of this round must see the slot taken and the model on its way.
        views[worker.name] = replace(worker, free_slots=worker.free_slots - 1, warm=worker.warm | {task.model})
    return decisions


def order(waiting: Iterable[WaitingTask]) -> list[WaitingTask]:
    """Priority first, then first in, first out: UUIDv7 ids sort by their age."""
    return sorted(waiting, key=lambda task: (-task.priority, task.task_id))


def _reason(task: WaitingTask, workers: Iterable[WorkerView]) -> WaitReason:
    workers = list(workers)
    if not workers:
        return WaitReason.NO_WORKER
    if not any(placement.capable(task, worker) for worker in workers):
        return WaitReason.NO_CAPABLE_WORKER
    return WaitReason.NO_FREE_SLOT
