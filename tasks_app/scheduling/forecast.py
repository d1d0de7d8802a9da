"""Where a waiting task stands in line, and when it may start, if nobody else comes. Pure.

The line is the policy's own (`turns`); who stands before the task takes, one after the other, the slot that is free
first. Once with the short end of the learnt times and once with the long one, and then with model loads too.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from tasks_app.scheduling.learning import Times
from tasks_app.scheduling.placement import capable
from tasks_app.scheduling.snapshot import ModelKey, Snapshot, WaitingTask, WorkerView
from tasks_app.scheduling.turns import Cursor, Turns


@dataclass(frozen=True, slots=True)
class Forecast:
    """`position` counts from 1 among all that wait, `own` among the tasks of the same organization. Starts are seconds
    from now; None if no slot for it can be named.
    """

    position: int
    own: int
    earliest: float | None
    latest: float | None


def forecast(snapshot: Snapshot, task: WaitingTask, standing_still: frozenset[UUID] = frozenset()) -> Forecast | None:
    """None if the task is not shown in the snapshot. `standing_still`: the heads of queues that are not served now."""
    line = _line_up_to(snapshot, task, standing_still)
    if line is None:
        return None
    own = sum(other.organization == task.organization for other in line)
    short, long = _Slots(snapshot, late=False), _Slots(snapshot, late=True)
    for other in line[:-1]:
        short.take(other)
        long.take(other)
    return Forecast(len(line), own, short.take(task), long.take(task))


def _line_up_to(snapshot: Snapshot, task: WaitingTask, standing_still: frozenset[UUID]) -> list[WaitingTask] | None:
    """Everybody whose turn comes before the task's, and the task."""
    turns, times = Turns(snapshot), snapshot.times
    cursors = [Cursor(queue) for queue in snapshot.queues]
    turns.line_up(c for c in cursors if c.head.task_id not in standing_still or c.key == task.queue_key)
    line: list[WaitingTask] = []
    while turns:
        head = turns.next.head
        line.append(head)
        if head.task_id == task.task_id:
            return line
        turns.served(times.run(head.task_type, head.model), placed=False)
    return None


class _Slots:
    """When every slot is free next, as far as one end of the learnt times tells."""

    def __init__(self, snapshot: Snapshot, late: bool) -> None:
        self._times, self._late = snapshot.times, late
        self._views = {view.name: view for view in snapshot.workers}
        self._ends = {view.name: _ends(view) for view in snapshot.workers}
        self._warm = {(view.name, model.name) for view in snapshot.workers for model in view.warm}
        self._able: dict[ModelKey, list[tuple[float, str]]] = {}  # lazy heaps: an end only moves away
        self._organizations = _Bounds({name: (v.limit, v.running) for name, v in snapshot.organizations.items()})
        self._models = _Bounds({key: (v.limit, v.running) for key, v in (snapshot.models or {}).items()})
        self._of_model = {view.name: _ends_by_model(view) for view in snapshot.workers}

    def take(self, task: WaitingTask) -> float | None:
        """When the task starts, in seconds from now; its slot is taken for as long as it runs."""
        found = self._first_free(task)
        if found is None:
            return None
        end, worker = found
        start = max(end, self._organizations.free_at(task.organization), self._models.free_at(task.model_key))
        start += self._load(task, worker)
        end = start + _run_seconds(self._times, task, self._late)
        heapq.heapreplace(self._ends[worker], end)
        _occupy(self._of_model[worker][task.model_key], end, self._most(worker, task))
        self._organizations.take(task.organization, end)
        self._models.take(task.model_key, end)
        self._warm.add((worker, task.model))
        return start

    def _first_free(self, task: WaitingTask) -> tuple[float, str] | None:
        heap = self._able.get(task.model_key)
        if heap is None:
            able = [name for name, view in self._views.items() if capable(task, view)]
            heap = self._able[task.model_key] = [(self._room_at(name, task), name) for name in able]
            heapq.heapify(heap)
        while heap and heap[0][0] != (end := self._room_at(heap[0][1], task)):
            heapq.heapreplace(heap, (end, heap[0][1]))
        return heap[0] if heap else None

    def _room_at(self, worker: str, task: WaitingTask) -> float:
        """When there is a slot, and room for one more of this model."""
        return max(self._ends[worker][0], _free_at(self._of_model[worker][task.model_key], self._most(worker, task)))

    def _most(self, worker: str, task: WaitingTask) -> int | None:
        return task.per_worker if self._views[worker].bounds_models else None

    def _load(self, task: WaitingTask, worker: str) -> float:
        """The short end hopes for a slot that has the model already."""
        if not self._late or (worker, task.model) in self._warm:
            return 0.0
        return self._times.load(task.task_type, task.model, worker)


class _Bounds:
    """Parties of which only so many tasks run at once: a further one begins when one of them ends."""

    def __init__(self, limits: Mapping[object, tuple[int | None, int]]) -> None:
        self._limits = {party: limit for party, (limit, _) in limits.items() if limit is not None}
        self._ends: defaultdict[object, list[float]] = defaultdict(list)
        for party, (_, running) in limits.items():
            self._ends[party] = [0.0] * running

    def free_at(self, party: object) -> float:
        return _free_at(self._ends[party], self._limits.get(party))

    def take(self, party: object, end: float) -> None:
        _occupy(self._ends[party], end, self._limits.get(party))


def _free_at(ends: list[float], most: int | None) -> float:
    """When one more may run beside those that end then, of which only so many run at once."""
    return 0.0 if most is None or len(ends) < max(1, most) else ends[0]


def _occupy(ends: list[float], end: float, most: int | None) -> None:
    """One more, that ends then; it follows the first to end if there are as many as may be."""
    if most is not None and len(ends) >= max(1, most):
        heapq.heapreplace(ends, end)
    else:
        heapq.heappush(ends, end)


def _ends(view: WorkerView) -> list[float]:
    """A heap with an entry for each slot."""
    busy: Sequence[float] = [busy.seconds_left for busy in view.busy][: view.slots - view.free_slots]
    ends = [*busy, *[0.0] * (view.slots - len(busy))]
    heapq.heapify(ends)
    return ends


def _ends_by_model(view: WorkerView) -> defaultdict[ModelKey, list[float]]:
    """Heaps, of what it is busy with."""
    ends: defaultdict[ModelKey, list[float]] = defaultdict(list)
    for busy in sorted(view.busy, key=attrgetter("seconds_left")):
        ends[busy.model_key].append(busy.seconds_left)
    return ends


def _run_seconds(times: Times, task: WaitingTask, late: bool) -> float:
    low, high = times.run_range(task.task_type, task.model)
    return high if late else low
