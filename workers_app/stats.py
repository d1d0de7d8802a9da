"""Workers as numbers: what each has to do, what its device says, and whether all of them together are well. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers_app import health
from workers_app.health import Health
from workers_app.models import ABSENT, Worker, WorkerState

DEVICE_FIELDS = ("name", "type", "memory_total_mib", "memory_used_mib", "utilization", "temperature_c", "power_w")


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks on one worker: `active` are running or being cancelled, `reserved` are dispatched and not claimed yet."""

    active: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    total: int
    online: int
    late: int
    lost: int
    paused: int  # online, but the operator lets it take no work
    external: int = 0  # online, and handing its work to somebody else's Celery
    absent: int = 0  # of those: nobody there takes it

    @classmethod
    def of(cls, workers: Iterable[Worker], now: datetime) -> Summary:
        known = [(health.of(worker, now), worker) for worker in workers]
        count = {word: sum(each is word for each, _ in known) for word in Health}
        paused = sum(each is Health.ONLINE and worker.state != WorkerState.ACTIVE for each, worker in known)
        total = len(known) - count[Health.STOPPED]
        external = sum(each is Health.ONLINE and worker.external for each, worker in known)
        absent = sum(each is Health.ONLINE and worker.engine_state == ABSENT for each, worker in known)
        return cls(total, count[Health.ONLINE], count[Health.LATE], count[Health.LOST], paused, external, absent)

    def word(self, leader: bool) -> str:
        """`down`: no task can start. `degraded`: fewer workers take work than should."""
        if self.online == self.absent or not leader:
            return "down"
        return "degraded" if self.late or self.lost or self.paused or self.absent else "healthy"


def of_worker(worker: Worker, load: Load, now: datetime) -> dict[str, Any]:
    return {
        "name": worker.name,
        "status": health.of(worker, now),
        "state": worker.state,
        "external": worker.external,
        "stopping": worker.stopping,
        "engine_state": worker.engine_state,
        "engine_restarts": worker.engine_restarts,
        "slots": worker.slots,
        "active_tasks": load.active,
        "reserved_tasks": load.reserved,
        "scheduled_tasks": 0,
        "abandoned_tasks": worker.abandoned,
        "total_load": load.active + load.reserved,
        "kinds": worker.kinds,
        "allowed_models": worker.allowed_models,
        "gpus": [_device(worker)] if worker.device else [],
        "versions": worker.versions,
        "started_at": worker.started_at,
        "last_heartbeat": worker.heartbeat_at,
    }


def _device(worker: Worker) -> dict[str, Any]:
    loaded = [{"name": warm["name"], "memory_mib": warm.get("memory_mib")} for warm in worker.warm_models]
    return {**{name: worker.device.get(name) for name in DEVICE_FIELDS}, "loaded_models": loaded}
