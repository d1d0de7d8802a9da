"""What a worker tells of itself: it starts, it lives, it leaves. Called by the worker's reporter only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from workers_app.models import Worker


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
    abandoned: int = 0
    device: dict[str, Any] = field(default_factory=dict)
    warm_models: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def register(registration: Registration) -> None:
    """A start under a known name is a new incarnation: what the operator decided (paused, draining) stays."""
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
    Worker.objects.update_or_create(name=name, defaults=values)


def heartbeat(name: str, incarnation: UUID, vitals: Vitals) -> bool:
    """False when another process took over the name: this one must stop taking work."""
    mine = Worker.objects.filter(name=name, incarnation=incarnation)
    return mine.update(heartbeat_at=Now(), **asdict(vitals)) == 1


def leave(name: str, incarnation: UUID) -> None:
    """The worker stopped in good order."""
    Worker.objects.filter(name=name, incarnation=incarnation).update(stopped_at=Now(), warm_models=[])
