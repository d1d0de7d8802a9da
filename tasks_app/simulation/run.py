"""The event loop in virtual time: arrivals and ends happen, rounds of a policy follow. No clock, no dice."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, UUID, uuid5

from tasks_app.scheduling.memory import Ended, Memory, Rules, Work
from tasks_app.scheduling.snapshot import Choice, Queue, QueueKey, WaitingTask, WorkerView, depth
from tasks_app.simulation.baselines import Policy
from tasks_app.simulation.machines import TASK_TYPE, MachineKind, ModelFacts, SimulatedWorker
from tasks_app.simulation.trace import Arrival

TICK = 0.05  # seconds of virtual time that events are gathered for before a round, as a real round takes time too


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything but the policy. `weights` are by tenant, 1.0 where left out."""

    arrivals: Sequence[Arrival]
    machines: Sequence[MachineKind]
    models: dict[str, ModelFacts]
    seconds: float
    weights: Mapping[str, float] = field(default_factory=dict)
    tick: float = TICK

    @property
    def slots(self) -> int:
        return sum(kind.slots for kind in self.machines)


@dataclass(slots=True)
class Job:
    """A task on its way through the simulation."""

    arrival: Arrival
    task: WaitingTask
    waited: float | None = None  # until its inference began: model load included
    placed_at: float = 0.0
    load: float = 0.0


@dataclass(slots=True)
class Record:
    """What happened."""

    jobs: list[Job]
    loads: int = 0
    evictions: int = 0
    inference_seconds: float = 0.0
    loading_seconds: float = 0.0
    rounds: int = 0
    ended: int = 0
    used: dict[str, float] = field(default_factory=dict)  # slot-seconds by tenant while all of them had work waiting
    all_busy_seconds: float = 0.0


def organization_of(tenant: str) -> UUID:
    return uuid5(NAMESPACE_OID, tenant)


def run(scenario: Scenario, policy: Policy) -> Record:
    return _Run(scenario, policy).until_the_end()


class _Run:
    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        self._scenario, self._policy = scenario, policy
        self._now = 0.0
        self._memory = Memory()
        self._workers = {w.name: w for w in _workers(scenario.machines)}
        self._jobs = {job.task.task_id: job for job in _jobs(scenario)}
        self._arrivals = deque(self._jobs.values())
        self._ends: list[tuple[float, UUID]] = []
        self._queues: dict[QueueKey, deque[WaitingTask]] = {}
        self._on_workers: dict[UUID, Work] = {}
        self._stuck: dict[str, list[Job]] = {}  # by worker: placed, and waiting there for memory
        self._tenants = {job.arrival.tenant for job in self._jobs.values()}
        self._waiting = dict.fromkeys(self._tenants, 0)
        self._running = dict.fromkeys(self._tenants, 0)
        self._settled: dict[UUID, Ended] = {}
        weights = {organization_of(tenant): scenario.weights.get(tenant, 1.0) for tenant in self._tenants}
        self._rules = Rules(weights=weights)
        self._record = Record(list(self._jobs.values()), used=dict.fromkeys(self._tenants, 0.0))

    def until_the_end(self) -> Record:
        again = False
        while (begin := self._now if again else self._next_event()) < self._scenario.seconds:
            self._pass_time(min(begin + self._scenario.tick, self._scenario.seconds))
            again = self._round()
        self._pass_time(self._scenario.seconds)
        self._record.loads = sum(worker.loads for worker in self._workers.values())
        self._record.evictions = sum(worker.evictions for worker in self._workers.values())
        return self._record

    def _next_event(self) -> float:
        arrival = self._arrivals[0].arrival.at if self._arrivals else float("inf")
        return min(arrival, self._ends[0][0] if self._ends else float("inf"))

    def _pass_time(self, until: float) -> None:
        """All that happens by then, in its order."""
        while (event := self._next_event()) <= until:
            self._account(event)
            if self._ends and self._ends[0][0] == event:
                self._end(heapq.heappop(self._ends)[1])
            else:
                self._arrive(self._arrivals.popleft())
        self._account(until)

    def _account(self, until: float) -> None:
        passed, self._now = until - self._now, until
        if passed > 0 and all(self._waiting.values()):
            self._record.all_busy_seconds += passed
            for tenant, running in self._running.items():
                self._record.used[tenant] += running * passed

    def _arrive(self, job: Job) -> None:
        self._waiting[job.arrival.tenant] += 1
        self._queues.setdefault(job.task.queue_key, deque()).append(job.task)

    def _end(self, task_id: UUID) -> None:
        job, work = self._jobs[task_id], self._on_workers.pop(task_id)
        worker = self._workers[work.worker]
        run_seconds = job.arrival.run_seconds / worker.kind.speed
        worker.end(work.model)
        self._running[job.arrival.tenant] -= 1
        self._settled[task_id] = Ended(job.load + run_seconds, job.load, run_seconds)
        self._record.ended += 1
        self._record.inference_seconds += run_seconds
        self._record.loading_seconds += job.load
        stuck, self._stuck[worker.name] = self._stuck.get(worker.name, []), []
        for waiting in stuck:
            self._start(waiting, worker)

    def _round(self) -> bool:
        """Does it make sense to look again at once?"""
        self._record.rounds += 1
        left = self._memory.see(self._on_workers.values(), self._rules.weights)
        self._memory.settle(left, self._settled)
        self._settled.clear()
        free = self._scenario.slots - len(self._on_workers)
        if not free or not self._queues:
            return False
        heads = _heads(self._queues, free)
        cut = {head[0].queue_key for head in heads if len(head) < len(self._queues[head[0].queue_key])}
        snapshot = self._memory.snapshot(self._now, heads, self._views(), self._rules, cut)
        plan = self._policy(snapshot)
        self._memory.decided(self._now, plan, plan.choices)
        for choice in plan.choices:
            self._place(choice)
        return bool(plan.choices and cut)

    def _views(self) -> list[WorkerView]:
        models = self._scenario.models
        return [w.view(models, self._now, len(self._stuck.get(w.name, ()))) for w in self._workers.values()]

    def _place(self, choice: Choice) -> None:
        task = choice.task
        job = self._jobs[task.task_id]
        queue = self._queues[task.queue_key]
        if queue[0] is task:
            queue.popleft()
        else:
            queue.remove(task)
        if not queue:
            del self._queues[task.queue_key]
        job.placed_at = self._now
        self._waiting[job.arrival.tenant] -= 1
        self._running[job.arrival.tenant] += 1
        who = (task.organization, task.user, task.task_type, task.model)
        self._on_workers[task.task_id] = Work(task.task_id, *who, choice.worker, started=self._now)
        self._start(job, self._workers[choice.worker])

    def _start(self, job: Job, worker: SimulatedWorker) -> None:
        load = worker.start(job.arrival.model, self._now, self._scenario.models)
        if load is None:
            self._stuck.setdefault(worker.name, []).append(job)
            return
        job.load = load
        job.waited = self._now + load - job.arrival.at
        end = self._now + load + job.arrival.run_seconds / worker.kind.speed
        heapq.heappush(self._ends, (end, job.task.task_id))


def _workers(kinds: Iterable[MachineKind]) -> list[SimulatedWorker]:
    return [SimulatedWorker(f"worker-{number:05}", kind) for number, kind in enumerate(kinds, start=1)]


def _jobs(scenario: Scenario) -> list[Job]:
    return [Job(arrival, _task(number, arrival, scenario)) for number, arrival in enumerate(scenario.arrivals, start=1)]


def _task(number: int, arrival: Arrival, scenario: Scenario) -> WaitingTask:
    return WaitingTask(
        task_id=UUID(int=number),
        task_type=TASK_TYPE,
        model=arrival.model,
        priority=arrival.priority,
        memory_mib=scenario.models[arrival.model].memory_mib,
        organization=organization_of(arrival.tenant),
        user=arrival.user,
        since=arrival.at,
        ready=arrival.at,
    )


def _heads(queues: Mapping[QueueKey, deque[WaitingTask]], free: int) -> list[Queue]:
    """As many of each queue as `rounds` would read."""
    shown = depth(free, len(queues))
    return [list(itertools.islice(queue, shown)) for queue in queues.values()]
