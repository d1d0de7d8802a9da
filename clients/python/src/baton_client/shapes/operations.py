"""Workers, queues, models: what operators look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadedModel:
    name: str
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str | None = None
    type: str | None = None
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    utilization: float | None = None  # percent
    temperature_c: float | None = None
    power_w: float | None = None
    loaded_models: tuple[LoadedModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantine:
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    status: str  # online, late, lost, stopped
    state: str  # what the operator wants of it: active, paused, draining, retired
    slots: int
    active_tasks: int
    reserved_tasks: int = 0
    drained: bool = False
    stopping: bool = False
    external: bool = False
    quarantine: Quarantine | None = None
    engine_state: str | None = None
    engine_restarts: int = 0
    kinds: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    last_heartbeat: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Pause:
    kind: str  # queue, model, organization
    name: str
    by: str
    reason: str
    at: datetime
    until: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Queue:
    name: str  # a task type
    length: int
    oldest_seconds: float
    running: int
    paused: Pause | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    task_type: str
    runner: str
    description: str = ""
    is_default: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Readiness:
    """One of the things that the server needs."""

    ok: bool
    detail: str
