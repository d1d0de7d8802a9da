"""Which worker for one task: filter, weigh what it would cost to start there, choose. Pure.

`Fleet` is the state of all workers while one plan is made. Nothing here knows organizations, fairness or order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from tasks_app.scheduling.learning import Times
from tasks_app.scheduling.snapshot import ModelKey, Queue, WaitingTask, WaitReason, WorkerView

__all__ = ["Fleet", "Machine", "Offer", "WaitingTask", "WorkerView", "capable"]
IDLE_WORTH = 0.3  # of its load time: what evicting a model costs that nobody asks for now


def capable(task: WaitingTask, worker: WorkerView) -> bool:
    """Could this worker ever run the task?"""
    return (
        task.task_type in worker.kinds
        and (not worker.allowed_models or task.model in worker.allowed_models)
        and (not worker.memory_total_mib or task.memory_mib <= worker.memory_total_mib)
    )


class Machine:
    """A worker as the placements of this plan leave it."""

    __slots__ = (
        *("_bounds_models", "_model_ends", "at_work", "ends", "free"),
        *("loaded", "name", "slots", "spare_mib", "tells_memory"),
    )

    def __init__(self, view: WorkerView) -> None:
        self.name, self.slots, self.free = view.name, view.slots, view.free_slots
        self.loaded: dict[str, int] = {}
        for model in view.warm:  # two task types may each have one of that name
            self.loaded[model.name] = self.loaded.get(model.name, 0) + model.memory_mib
        self.at_work = {busy.model for busy in view.busy}
        self.ends = sorted(busy.seconds_left for busy in view.busy)  # a heap: when its slots become free
        self._bounds_models = view.bounds_models
        self._model_ends: dict[ModelKey, list[float]] = {}  # heaps of the same
        for busy in sorted(view.busy, key=attrgetter("seconds_left")):
            self._model_ends.setdefault(busy.model_key, []).append(busy.seconds_left)
        self.tells_memory = view.memory_total_mib > 0
        self.spare_mib = view.memory_total_mib - sum(self.loaded.values())

    def has_room(self, task: WaitingTask) -> bool:
        return self.free > 0 and not self.is_full_of(task)

    def is_full_of(self, task: WaitingTask) -> bool:
        """Has it as many tasks of this model as it takes at once?"""
        if task.per_worker is None or not self._bounds_models:
            return False
        return len(self._model_ends.get(task.model_key, ())) >= task.per_worker

    def next_end(self, task: WaitingTask) -> float | None:
        """When it next has room for a task of this model; None if it has now, or nobody knows."""
        bounds = [self.ends] if self.free <= 0 else []
        if self.is_full_of(task):
            bounds.append(self._model_ends[task.model_key])
        return max((ends[0] for ends in bounds if ends), default=None)

    def reserve(self, task: WaitingTask, seconds: float) -> None:
        """What next has an end is followed by this task."""
        if self.free <= 0:
            heapq.heapreplace(self.ends, self.ends[0] + seconds)
        if self.is_full_of(task):
            ends = self._model_ends[task.model_key]
            heapq.heapreplace(ends, ends[0] + seconds)

    def evictions(self, memory_mib: int) -> list[str] | None:
        """The idle models that must go for one that needs so much; None if models at work hold the memory."""
        needed = memory_mib - self.spare_mib
        if not self.tells_memory or needed <= 0:
            return []
        going = []
        for name, size in self.loaded.items():
            if name not in self.at_work:
                going.append(name)
                needed -= size
                if needed <= 0:
                    return going
        return None

    def take(self, task: WaitingTask, seconds: float) -> list[str]:
        """A slot is taken for so long; the models that go for it."""
        going = [] if task.model in self.loaded else self.evictions(task.memory_mib) or []
        for name in going:
            self.spare_mib += self.loaded.pop(name)
        if task.model not in self.loaded:
            self.spare_mib -= task.memory_mib
        self.loaded[task.model] = self.loaded.pop(task.model, task.memory_mib)  # the most recently used is last
        self.at_work.add(task.model)
        self.free -= 1
        heapq.heappush(self.ends, seconds)
        heapq.heappush(self._model_ends.setdefault(task.model_key, []), seconds)
        return going


class Offer(NamedTuple):
    """A free slot: seconds of loading before the start, and what the evicted models will cost to load again."""

    load: float
    loss: float
    machine: Machine

    @property
    def cost(self) -> float:
        return self.load + self.loss


@dataclass(slots=True)
class _Candidates:
    """The workers for one model. Both heaps are lazy: a key only gets worse while a plan is made, and is put right
    when it comes up; what gets better (the model was just loaded there) is pushed at once.
    """

    able: set[str]
    free: list[tuple[float, float, str]]  # (cost, minus the share of free slots, name)
    soon: list[tuple[float, str]]  # (next end, name) of those that have the model loaded and no room for more of it


class Fleet:
    """All workers, and what has been decided for them so far."""

    def __init__(self, workers: Iterable[WorkerView], queues: Sequence[Queue], times: Times) -> None:
        self._views = sorted(workers, key=lambda view: view.name)
        self._machines = {view.name: Machine(view) for view in self._views}
        self._times = times
        self._wanted = {queue[0].model: queue[0].task_type for queue in queues}
        self._copies = Counter(name for machine in self._machines.values() for name in machine.loaded)
        self._candidates: dict[ModelKey, _Candidates] = {}
        self.free_slots = sum(machine.free for machine in self._machines.values())

    def __bool__(self) -> bool:
        return bool(self._machines)

    def can_ever_run(self, task: WaitingTask, but: str | None = None) -> bool:
        """Any worker, or any but this one."""
        able = self._of(task).able
        return len(able) > (but in able)

    def why_no_offer(self, task: WaitingTask) -> WaitReason:
        able = [self._machines[name] for name in self._of(task).able]
        if not any(machine.free > 0 for machine in able):
            return WaitReason.NO_FREE_SLOT
        roomy = any(machine.has_room(task) for machine in able)
        return WaitReason.NO_FREE_MEMORY if roomy else WaitReason.NO_FREE_MODEL_SLOT

    def best(self, task: WaitingTask, avoid: str | None = None) -> Offer | None:
        """The cheapest free slot, on the emptiest of equal workers."""
        heap = self._of(task).free
        set_aside = None
        offer = None
        while heap and offer is None:
            entry = heap[0]
            machine = self._machines[entry[2]]
            now = self._offer(task, machine)
            if now is None:
                heapq.heappop(heap)
            elif (fresh := _merit(now)) != entry:
                heapq.heapreplace(heap, fresh)
            elif machine.name == avoid:
                set_aside = heapq.heappop(heap)
            else:
                offer = now
        if set_aside is not None:
            heapq.heappush(heap, set_aside)
        return offer

    def soonest(self, task: WaitingTask) -> tuple[float, Machine] | None:
        """When it next has room on a worker that has the model loaded and no room for more of it now."""
        heap = self._of(task).soon
        while heap:
            end, name = heap[0]
            machine = self._machines[name]
            now = machine.next_end(task)
            if now is None or task.model not in machine.loaded:
                heapq.heappop(heap)
            elif now != end:
                heapq.heapreplace(heap, (now, name))
            else:
                return end, machine
        return None

    def take(self, task: WaitingTask, offer: Offer) -> float:
        """The slot is taken; for how many seconds, as far as history tells."""
        machine = offer.machine
        was_cold = task.model not in machine.loaded
        seconds = offer.load + self._times.run(task.task_type, task.model, machine.name)
        self._copies.subtract(machine.take(task, seconds))
        self.free_slots -= 1
        if was_cold:
            self._copies[task.model] += 1
            heapq.heappush(self._of(task).free, _merit(Offer(0.0, 0.0, machine)))
        if not machine.free:
            for key, others in self._candidates.items():
                if key.name in machine.loaded and machine.name in others.able:
                    heapq.heappush(others.soon, (machine.ends[0], machine.name))
        elif (end := machine.next_end(task)) is not None:
            heapq.heappush(self._of(task).soon, (end, machine.name))
        return seconds

    def reserve(self, task: WaitingTask, machine: Machine) -> float:
        """The task waits for the next slot of a full worker: whoever comes after it sees the one behind."""
        seconds = self._times.run(task.task_type, task.model, machine.name)
        machine.reserve(task, seconds)
        return seconds

    def _of(self, task: WaitingTask) -> _Candidates:
        key = task.model_key
        if key not in self._candidates:
            self._candidates[key] = self._find(task)
        return self._candidates[key]

    def _find(self, task: WaitingTask) -> _Candidates:
        able = [self._machines[view.name] for view in self._views if capable(task, view)]
        free = [_merit(offer) for machine in able if (offer := self._offer(task, machine))]
        warm = (machine for machine in able if task.model in machine.loaded)
        soon = [(end, machine.name) for machine in warm if (end := machine.next_end(task)) is not None]
        heapq.heapify(free)
        heapq.heapify(soon)
        return _Candidates({machine.name for machine in able}, free, soon)

    def _offer(self, task: WaitingTask, machine: Machine) -> Offer | None:
        if not machine.has_room(task):
            return None
        if task.model in machine.loaded:
            return Offer(0.0, 0.0, machine)
        going = machine.evictions(task.memory_mib)
        if going is None:
            return None
        load = self._times.load(task.task_type, task.model, machine.name)
        return Offer(load, sum(map(self._worth, going)), machine)

    def _worth(self, model: str) -> float:
        """Seconds lost when the model has to come back; less if it is loaded elsewhere too, or not asked for."""
        load = self._times.load(self._wanted.get(model, ""), model)
        return load / self._copies[model] * (1.0 if model in self._wanted else IDLE_WORTH)


def _merit(offer: Offer) -> tuple[float, float, str]:
    """What the smallest of is best."""
    machine = offer.machine
    return offer.cost, -machine.free / machine.slots, machine.name
