"""Which worker for one task: filter, weigh what it would cost to start there, choose. Pure.

`Fleet` is the state of all workers while one plan is made. Nothing here knows organizations, fairness or order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks_app.scheduling.learning import Times
from tasks_app.scheduling.snapshot import ModelKey, Queue, WaitingTask, WorkerView

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

    __slots__ = ("at_work", "ends", "free", "loaded", "name", "slots", "spare_mib", "tells_memory")

    def __init__(self, view: WorkerView) -> None:
        self.name, self.slots, self.free = view.name, view.slots, view.free_slots
        self.loaded: dict[str, int] = {}
        for model in view.warm:  # two task types may each have one of that name
            self.loaded[model.name] = self.loaded.get(model.name, 0) + model.memory_mib
        self.at_work = {busy.model for busy in view.busy}
        self.ends = sorted(busy.seconds_left for busy in view.busy)  # a heap: when its slots become free
        self.tells_memory = view.memory_total_mib > 0
        self.spare_mib = view.memory_total_mib - sum(self.loaded.values())

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
    soon: list[tuple[float, str]]  # (next end, name) of those that are full and have the model loaded


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

    def has_free_slot_for(self, task: WaitingTask) -> bool:
        """Disregarding the memory beside it."""
        return any(self._machines[name].free > 0 for name in self._of(task).able)

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
        """When the next slot becomes free on a full worker that has the model loaded."""
        heap = self._of(task).soon
        while heap:
            end, name = heap[0]
            machine = self._machines[name]
            if machine.free > 0 or not machine.ends or task.model not in machine.loaded:
                heapq.heappop(heap)
            elif machine.ends[0] != end:
                heapq.heapreplace(heap, (machine.ends[0], name))
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
        return seconds

    def reserve(self, task: WaitingTask, machine: Machine) -> float:
        """The task waits for the next slot of a full worker: whoever comes after it sees the one behind."""
        seconds = self._times.run(task.task_type, task.model, machine.name)
        heapq.heapreplace(machine.ends, machine.ends[0] + seconds)
        return seconds

    def _of(self, task: WaitingTask) -> _Candidates:
        key = task.model_key
        if key not in self._candidates:
            self._candidates[key] = self._find(task)
        return self._candidates[key]

    def _find(self, task: WaitingTask) -> _Candidates:
        able = [self._machines[view.name] for view in self._views if capable(task, view)]
        free = [_merit(offer) for machine in able if (offer := self._offer(task, machine))]
        soon = [(m.ends[0], m.name) for m in able if not m.free and m.ends and task.model in m.loaded]
        heapq.heapify(free)
        heapq.heapify(soon)
        return _Candidates({machine.name for machine in able}, free, soon)

    def _offer(self, task: WaitingTask, machine: Machine) -> Offer | None:
        if machine.free <= 0:
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
