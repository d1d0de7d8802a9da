"""What the policy sees and what it answers: plain frozen values, made by `rounds` or by the simulator.

Times are seconds of one clock, the caller's; the policy has none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from tasks_app.scheduling.learning import Times

NOBODY = UUID(int=0)
NO_USER = 0  # a key that belongs to no person


class ModelKey(NamedTuple):
    """A model's name is unique within its task type."""

    task_type: str
    name: str


class QueueKey(NamedTuple):
    """The tasks of one queue differ in nothing but their age, so its head speaks for all of it."""

    organization: UUID
    user: int
    task_type: str
    model: str
    priority: int


@dataclass(frozen=True, slots=True)
class WaitingTask:
    task_id: UUID
    task_type: str
    model: str
    priority: int  # 10 is most urgent
    memory_mib: int = 0  # what its model needs; 0 if unknown
    per_worker: int | None = None  # tasks of its model that a worker takes at once; None: as it has slots
    avoid_worker: str | None = None  # it just failed this task
    organization: UUID = NOBODY
    user: int = NO_USER
    since: float = 0.0  # when it was asked for
    ready: float = 0.0  # when it could be placed at the earliest: `run_at`, or the end of a backoff
    spent: float = 0.0  # GPU-seconds of its earlier attempts

    @property
    def model_key(self) -> ModelKey:
        return ModelKey(self.task_type, self.model)

    @property
    def queue_key(self) -> QueueKey:
        return QueueKey(self.organization, self.user, self.task_type, self.model, self.priority)


Queue = Sequence[WaitingTask]  # never empty; of one QueueKey; oldest first


@dataclass(frozen=True, slots=True)
class Loaded:
    name: str
    memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Busy:
    """A slot that is taken: by which model, and for how long still, as far as history tells."""

    model: str
    seconds_left: float = 0.0
    task_type: str = ""

    @property
    def model_key(self) -> ModelKey:
        return ModelKey(self.task_type, self.model)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that takes work."""

    name: str
    kinds: frozenset[str]
    slots: int
    free_slots: int
    allowed_models: frozenset[str] = frozenset()  # empty: all
    warm: tuple[Loaded, ...] = ()  # the least recently used first, as the engine would evict them
    memory_total_mib: int = 0  # 0 if unknown
    busy: tuple[Busy, ...] = ()
    bounds_models: bool = True  # False: it takes any number of one model, as far as it has slots


@dataclass(frozen=True, slots=True)
class OrganizationView:
    weight: float = 1.0
    limit: int | None = None  # tasks on workers at once
    running: int = 0
    virtual: float = 0.0  # GPU-seconds used per unit of weight; see `fair_share`


@dataclass(frozen=True, slots=True)
class ModelView:
    limit: int | None = None  # tasks on workers at once
    running: int = 0


@dataclass(frozen=True, slots=True)
class Paused:
    """What is to stand still for now; what runs already goes on."""

    task_types: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    organizations: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    now: float
    queues: Sequence[Queue]  # only their beginnings, where they are long; see `cut`
    workers: Sequence[WorkerView]
    organizations: Mapping[UUID, OrganizationView] = field(default_factory=dict)
    users: Mapping[tuple[UUID, int], float] = field(default_factory=dict)  # virtual seconds inside the organization
    models: Mapping[ModelKey, ModelView] | None = None  # the enabled ones; None: all are
    paused: Paused = field(default_factory=Paused)
    times: Times = field(default_factory=Times)
    passed_over: Mapping[QueueKey, float] = field(default_factory=dict)  # since when, to save a model swap
    cut: Set[QueueKey] = frozenset()  # queues that go on behind what is shown of them


SHOWN = 512  # tasks that a round looks at, at least: enough to tell a long queue from a short one


def depth(free_slots: int, queues: int) -> int:
    """How many tasks of each queue a round has to look at. Longer ones are looked at again at once."""
    return max(2 * free_slots, SHOWN) // max(1, queues) + 1


class WaitReason(StrEnum):
    """Why the head of a queue was not placed in a round."""

    NO_WORKER = "no_worker"  # nobody takes work: all are away, held back or quarantined
    NO_CAPABLE_WORKER = "no_capable_worker"  # none of them runs this type, may run this model, or can hold it
    NO_FREE_SLOT = "no_free_slot"
    NO_FREE_MODEL_SLOT = "no_free_model_slot"  # there are slots, but each worker has as many of its model as it takes
    NO_FREE_MEMORY = "no_free_memory"  # models at work hold the memory beside the free slots
    WARM_WORKER_SOON = "warm_worker_soon"  # a busy worker has the model loaded and is free sooner than a load takes
    COLLECTING = "collecting"  # work for models that are loaded goes first for a while, to save a swap
    AVOIDS_WORKER = "avoids_worker"  # only the worker that just failed it is free
    QUEUE_PAUSED = "queue_paused"
    MODEL_PAUSED = "model_paused"
    MODEL_DISABLED = "model_disabled"
    MODEL_LIMIT = "model_limit"  # as many run as may at once
    ORGANIZATION_PAUSED = "organization_paused"
    ORGANIZATION_LIMIT = "organization_limit"


STANDING_STILL = frozenset(
    {
        WaitReason.NO_WORKER,
        WaitReason.NO_CAPABLE_WORKER,
        WaitReason.QUEUE_PAUSED,
        WaitReason.MODEL_PAUSED,
        WaitReason.MODEL_DISABLED,
        WaitReason.ORGANIZATION_PAUSED,
    }
)  # until an operator does something, however many slots are free
PASSED_OVER = frozenset({WaitReason.WARM_WORKER_SOON, WaitReason.COLLECTING})  # it was its turn


@dataclass(frozen=True, slots=True)
class Choice:
    """This waiting task goes to this worker now, and is expected to take it for so many seconds."""

    task: WaitingTask
    worker: str
    expected_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """In the order of merit. `waits` has every queue of which a task was left."""

    choices: list[Choice]
    waits: dict[QueueKey, WaitReason]
