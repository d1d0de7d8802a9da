"""What the leader remembers from round to round: who used how much, how long things take, who was passed over. Pure.

`rounds` tells it what the rows say, the simulator what happened. A leader that dies takes along what it had not stored:
the charges of what ended in its last second, and who was being passed over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from uuid import UUID

from tasks_app.scheduling.fair_share import Account, Ledger
from tasks_app.scheduling.learning import Key, Learnt, Observation, Times
from tasks_app.scheduling.snapshot import (
    PASSED_OVER,
    Busy,
    Choice,
    ModelKey,
    ModelView,
    OrganizationView,
    Paused,
    Plan,
    Queue,
    QueueKey,
    Snapshot,
    WorkerView,
)

OVERRUN = 0.25  # of the time it has run: what is left of work that takes longer than was expected


@dataclass(frozen=True, slots=True)
class Work:
    """A task on a worker: dispatched, or started at `started`."""

    task_id: UUID
    organization: UUID
    user: int
    task_type: str
    model: str
    worker: str
    spent: float = 0.0  # GPU-seconds of its earlier attempts
    started: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What work that left its worker has cost, and taught; `load` and `run` are None where it did not come so far."""

    gpu_seconds: float
    load: float | None = None
    run: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What operators decided."""

    weights: Mapping[UUID, float] = field(default_factory=dict)
    organization_limits: Mapping[UUID, int] = field(default_factory=dict)
    models: Mapping[ModelKey, int | None] | None = None  # the enabled ones, with their limits; None: all, without
    paused: Paused = field(default_factory=Paused)


class Memory:
    def __init__(
        self, accounts: Mapping[Account, float] | None = None, learnt: Iterable[tuple[Key, Learnt]] = ()
    ) -> None:
        self.ledger, self.times = Ledger(accounts), Times(learnt)
        self._work: dict[UUID, Work] = {}
        self._expected: dict[UUID, float] = {}  # seconds, model load included
        self._passed_over: dict[QueueKey, float] = {}
        self._taught: dict[Key, Learnt] = {}
        self._weights: dict[UUID, float] = {}  # as last seen

    def see(self, on_workers: Iterable[Work], weights: Mapping[UUID, float]) -> list[Work]:
        """What is on workers now; returns what was there and has left, to be settled."""
        self._weights |= weights
        now = {work.task_id: work for work in on_workers}
        left = [work for task_id, work in self._work.items() if task_id not in now]
        self._work = now | {work.task_id: work for work in left}
        return left

    def settle(self, left: Iterable[Work], ended: Mapping[UUID, Ended]) -> None:
        """Charge what it has really cost; what nobody can tell any more (its row is gone) costs what was expected."""
        observations = []
        for work in left:
            del self._work[work.task_id]
            expected = self._expected.pop(work.task_id, 0.0)
            end = ended.get(work.task_id)
            seconds = expected if end is None else end.gpu_seconds - work.spent
            self.ledger.charge(
                work.organization, work.user, max(0.0, seconds), self._weights.get(work.organization, 1.0)
            )
            if end is not None and (end.run is not None or end.load):
                observations.append(Observation(work.task_type, work.model, work.worker, end.load, end.run))
        self._taught |= self.times.learn(observations)

    def snapshot(
        self,
        now: float,
        queues: Sequence[Queue],
        workers: Sequence[WorkerView],
        rules: Rules,
        cut: Set[QueueKey] = frozenset(),
    ) -> Snapshot:
        """All that the policy looks at. `workers` come without what they are busy with; that is known here."""
        self._weights |= rules.weights
        self._enter(now, queues)
        busy = defaultdict(list)
        for work in self._work.values():
            busy[work.worker].append(Busy(work.model, self.seconds_left(work, now), work.task_type))
        return Snapshot(
            now=now,
            queues=queues,
            workers=[replace(view, busy=tuple(busy[view.name])) for view in workers],
            organizations=self._organizations(queues, rules),
            users={key[:2]: self.ledger.of_user(*key[:2]) for key in (queue[0].queue_key for queue in queues)},
            models=self._models(rules),
            paused=rules.paused,
            times=self.times,
            passed_over=self._passed_over,
            cut=cut,
        )

    def decided(self, now: float, plan: Plan, placed: Iterable[Choice]) -> None:
        """`placed` are the choices that came true: nobody else was first."""
        served = set()
        for choice in placed:
            task = choice.task
            who = (task.organization, task.user, task.task_type, task.model)
            self._work[task.task_id] = Work(task.task_id, *who, choice.worker, task.spent)
            self._expected[task.task_id] = choice.expected_seconds
            served.add(task.queue_key)
        self._passed_over = {
            key: self._passed_over.get(key, now)
            for key, reason in plan.waits.items()
            if reason in PASSED_OVER and key not in served
        }

    def seconds_left(self, work: Work, now: float) -> float:
        """As far as history tells; never nothing, since it still runs."""
        elapsed = self._elapsed(work, now)
        return max(self._expectation(work) - elapsed, OVERRUN * elapsed)

    def take_taught(self) -> dict[Key, Learnt]:
        """What was learnt since the last call, to be stored."""
        taught, self._taught = self._taught, {}
        return taught

    def _enter(self, now: float, queues: Sequence[Queue]) -> None:
        under_way: dict[tuple[UUID, int], float] = {queue[0].queue_key[:2]: 0.0 for queue in queues}
        for work in self._work.values():
            who = work.organization, work.user
            cost = max(self._expectation(work), self._elapsed(work, now))
            under_way[who] = under_way.get(who, 0.0) + cost
        self.ledger.enter(under_way, self._weights)

    def _organizations(self, queues: Sequence[Queue], rules: Rules) -> dict[UUID, OrganizationView]:
        running = Counter(work.organization for work in self._work.values())
        return {
            name: OrganizationView(
                rules.weights.get(name, 1.0),
                rules.organization_limits.get(name),
                running[name],
                self.ledger.of_organization(name),
            )
            for name in {queue[0].organization for queue in queues}
        }

    def _models(self, rules: Rules) -> dict[ModelKey, ModelView] | None:
        if rules.models is None:
            return None
        running = Counter(ModelKey(work.task_type, work.model) for work in self._work.values())
        return {key: ModelView(limit, running[key]) for key, limit in rules.models.items()}

    def _expectation(self, work: Work) -> float:
        expected = self._expected.get(work.task_id)
        return self.times.run(work.task_type, work.model, work.worker) if expected is None else expected

    @staticmethod
    def _elapsed(work: Work, now: float) -> float:
        return max(0.0, now - work.started) if work.started is not None else 0.0
