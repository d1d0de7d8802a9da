"""Three plain policies to compare with. Each takes a snapshot and fills the free slots, in the order of arrival."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

from tasks_app.scheduling.placement import capable
from tasks_app.scheduling.policy import plan
from tasks_app.scheduling.snapshot import Choice, Plan, Snapshot, WaitingTask

Policy = Callable[[Snapshot], Plan]


def first_in_first_out(snapshot: Snapshot) -> Plan:
    """The oldest task on the first worker that has a free slot."""
    return _fill(snapshot, lambda free: min(free, key=lambda name: name))


def least_loaded(snapshot: Snapshot) -> Plan:
    """The oldest task on the worker with the largest share of free slots."""
    slots = {view.name: view.slots for view in snapshot.workers}
    return _fill(snapshot, lambda free: min(free, key=lambda name: (-free[name] / slots[name], name)))


class RoundRobin:
    """The oldest task on the next worker in turn that has a free slot."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, snapshot: Snapshot) -> Plan:
        return _fill(snapshot, self._next)

    def _next(self, free: dict[str, int]) -> str:
        self._last = min((name for name in free if name > self._last), default=min(free))
        return self._last


def policies() -> dict[str, Policy]:
    return {"baton": plan, "fifo": first_in_first_out, "least-loaded": least_loaded, "round-robin": RoundRobin()}


def _fill(snapshot: Snapshot, choose: Callable[[dict[str, int]], str]) -> Plan:
    views = {view.name: view for view in snapshot.workers}
    free = {view.name: view.free_slots for view in snapshot.workers if view.free_slots > 0}
    choices = []
    for task in itertools.islice(_by_age(snapshot), sum(free.values())):
        able = {name: slots for name, slots in free.items() if capable(task, views[name])}
        if able:
            name = choose(able)
            choices.append(Choice(task, name, snapshot.times.run(task.task_type, task.model, name)))
            free[name] -= 1
            if not free[name]:
                del free[name]
    return Plan(choices, {})


def _by_age(snapshot: Snapshot) -> Iterator[WaitingTask]:
    return heapq.merge(*snapshot.queues, key=lambda task: (task.since, task.task_id))
