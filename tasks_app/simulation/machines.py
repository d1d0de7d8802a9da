"""A worker in virtual time: its slots, and the models that its engine holds, loads and evicts as the real one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks_app.scheduling.snapshot import Loaded, WorkerView

TASK_TYPE = "llm"  # the policy does not care which


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The truth, which the scheduler has to learn. All seconds are a machine of speed 1's."""

    load_seconds: float = 10.0
    memory_mib: int = 1


@dataclass(frozen=True, slots=True)
class MachineKind:
    slots: int = 4
    memory_mib: int = 2
    speed: float = 1.0


@dataclass(slots=True)
class SimulatedWorker:
    """Models are held in the order of their last use; one that is at work is never evicted."""

    name: str
    kind: MachineKind
    ready_at: dict[str, float] = field(default_factory=dict)  # by loaded model: when its load is done
    at_work: dict[str, int] = field(default_factory=dict)  # by model: how many slots it takes
    loads: int = 0
    evictions: int = 0

    @property
    def taken(self) -> int:
        return sum(self.at_work.values())

    def start(self, model: str, now: float, facts: dict[str, ModelFacts]) -> float | None:
        """Take a slot; seconds until the model is warm. None: models at work hold the memory."""
        if model not in self.ready_at:
            if not self._make_room(facts[model].memory_mib, facts):
                return None
            self.loads += 1
            self.ready_at[model] = now + facts[model].load_seconds / self.kind.speed
        self.ready_at[model] = self.ready_at.pop(model)  # the most recently used is last
        self.at_work[model] = self.at_work.get(model, 0) + 1
        return max(0.0, self.ready_at[model] - now)

    def end(self, model: str) -> None:
        self.at_work[model] -= 1
        if not self.at_work[model]:
            del self.at_work[model]
        self.ready_at[model] = self.ready_at.pop(model)

    def view(self, facts: dict[str, ModelFacts], now: float, promised: int) -> WorkerView:
        """As the scheduler sees it; `promised` tasks wait here for memory."""
        return WorkerView(
            name=self.name,
            kinds=frozenset({TASK_TYPE}),
            slots=self.kind.slots,
            free_slots=self.kind.slots - self.taken - promised,
            warm=tuple(Loaded(model, facts[model].memory_mib) for model in self.ready_at),
            memory_total_mib=self.kind.memory_mib,
        )

    def _make_room(self, needed: int, facts: dict[str, ModelFacts]) -> bool:
        while sum(facts[model].memory_mib for model in self.ready_at) + needed > self.kind.memory_mib:
            idle = next((model for model in self.ready_at if model not in self.at_work), None)
            if idle is None:
                return False
            del self.ready_at[idle]
            self.evictions += 1
        return True
