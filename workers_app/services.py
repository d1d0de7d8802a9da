"""What a worker tells of itself (it starts, it lives, it leaves), and what an operator wants of it.

Called by the worker's reporter and by `tasks_app.operating`, which knows what a change means for tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from workers_app import learning
from workers_app.models import Worker, WorkerState


@dataclass(frozen=True, slots=True)
class Registration:
    name: str
    incarnation: UUID
    hostname: str
    slots: int
    kinds: list[str]
    allowed_models: list[str]
    external: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """One heartbeat. `device` carries type, name, memory_total_mib, memory_used_mib, utilization, … as far as told."""

    engine_state: str
    engine_restarts: int
    stopping: bool
    quarantine_reason: str = ""  # empty: the engine is sound
    abandoned: int = 0
    device: dict[str, Any] = field(default_factory=dict)
    warm_models: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a worker hears back: what the operator wants of it since when, and what its row says of its soundness."""

    state: str
    said_at: datetime | None
    quarantine_reason: str


def register(registration: Registration) -> Wish:
    """A start under a known name is a new incarnation. What the operator decided stays, and so does a quarantine."""
    values = {**asdict(registration), "stopping": False, "engine_state": "starting", "engine_restarts": 0}
    values |= {
        "started_at": Now(),
        "heartbeat_at": Now(),
        "stopped_at": None,
        "warm_models": [],
        "device": {},
        "abandoned": 0,
    }
    name = values.pop("name")
    worker, _ = Worker.objects.update_or_create(name=name, defaults=values)
    return Wish(worker.state, worker.state_at, worker.quarantine_reason)


def heartbeat(name: str, incarnation: UUID, vitals: Vitals) -> Wish | None:
    """None when another process took over the name: this one must end."""
    mine = Worker.objects.filter(name=name, incarnation=incarnation)
    since = Coalesce(F("quarantined_at"), Now()) if vitals.quarantine_reason else None
    if mine.update(heartbeat_at=Now(), quarantined_at=since, **asdict(vitals)) != 1:
        return None
    learning.learn(vitals.warm_models)
    wish = mine.values_list("state", "state_at", "quarantine_reason").first()
    return Wish(*wish) if wish else None


def leave(name: str, incarnation: UUID) -> None:
    """The worker stopped in good order."""
    Worker.objects.filter(name=name, incarnation=incarnation).update(stopped_at=Now(), warm_models=[])


def set_state(name: str, state: WorkerState, by: str, reason: str = "") -> Worker | None:
    """Its row now; None if nobody of that name ever registered. Asking for what already is changes nothing.

    To make a quarantined worker active ends its quarantine, even if its state was active all along.
    """
    differs = ~Q(state=state)
    values: dict[str, Any] = {"state": state, "state_by": by, "state_reason": reason, "state_at": Now()}
    if state == WorkerState.ACTIVE:
        differs |= Q(quarantined_at__isnull=False)
        values |= {"quarantined_at": None, "quarantine_reason": ""}
    Worker.objects.filter(differs, pk=name).update(**values)
    return Worker.objects.filter(pk=name).first()
