"""Workers as numbers: what each has to do, what its device says, and whether all of them together are well. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers_app import health
from workers_app.health import Health
from workers_app.models import ABSENT, Worker, WorkerState

QUARANTINED = "quarantined"
EMPTIES = frozenset({WorkerState.DRAINING, WorkerState.RETIRED})
DEVICE_FIELDS = (
    *("name", "type", "memory_total_mib", "memory_used_mib", "utilization", "temperature_c", "power_w"),
    *("ecc_errors", "xid"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks on one worker: `active` are running or being cancelled, `reserved` are dispatched and not claimed yet."""

    active: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Retired workers are not counted. One that is online counts as at most one of paused, draining and quarantined."""

    total: int
    online: int
    late: int
    lost: int
    paused: int
    draining: int
    quarantined: int
    external: int = 0  # online, and handing its work to somebody else's Celery
    absent: int = 0  # of those: nobody there takes it

    @classmethod
    def of(cls, workers: Iterable[Worker], now: datetime) -> Summary:
        counted = [worker for worker in workers if worker.state != WorkerState.RETIRED]
        health_words = Counter(health.of(worker, now) for worker in counted)
        online = [worker for worker in counted if health.of(worker, now) is Health.ONLINE]
        words = Counter(_held_back(worker) for worker in online)
        return cls(
            total=len(counted) - health_words[Health.STOPPED],
            online=health_words[Health.ONLINE],
            late=health_words[Health.LATE],
            lost=health_words[Health.LOST],
            paused=words[WorkerState.PAUSED],
            draining=words[WorkerState.DRAINING],
            quarantined=words[QUARANTINED],
            external=sum(worker.external for worker in online),
            absent=sum(worker.engine_state == ABSENT for worker in online),
        )

    def word(self, leader: bool) -> str:
        """`down`: nobody is there to start a task. `degraded`: fewer workers take work than should."""
        if self.online == self.absent or not leader:
            return "down"
        missing = self.late or self.lost or self.paused or self.draining or self.quarantined or self.absent
        return "degraded" if missing else "healthy"


def _held_back(worker: Worker) -> str:
    return QUARANTINED if worker.quarantined_at else worker.state


def of_worker(worker: Worker, load: Load, now: datetime, to_operator: bool) -> dict[str, Any]:
    """Who changed its state and why is told to operators only: the others may be of another organization."""
    total = load.active + load.reserved
    return {
        "name": worker.name,
        "status": health.of(worker, now),
        "state": worker.state,
        "drained": worker.state in EMPTIES and not total,
        "state_change": _change(worker) if to_operator else None,
        "quarantine": _quarantine(worker),
        "external": worker.external,
        "stopping": worker.stopping,
        "engine_state": worker.engine_state,
        "engine_restarts": worker.engine_restarts,
        "slots": worker.slots,
        "active_tasks": load.active,
        "reserved_tasks": load.reserved,
        "scheduled_tasks": 0,
        "abandoned_tasks": worker.abandoned,
        "total_load": total,
        "kinds": worker.kinds,
        "allowed_models": worker.allowed_models,
        "gpus": [_device(worker)] if worker.device else [],
        "versions": worker.versions,
        "started_at": worker.started_at,
        "last_heartbeat": worker.heartbeat_at,
    }


def _change(worker: Worker) -> dict[str, Any] | None:
    if worker.state_at is None:
        return None
    return {"by": worker.state_by, "reason": worker.state_reason, "at": worker.state_at}


def _quarantine(worker: Worker) -> dict[str, Any] | None:
    if worker.quarantined_at is None:
        return None
    return {"reason": worker.quarantine_reason, "since": worker.quarantined_at}


def _device(worker: Worker) -> dict[str, Any]:
    loaded = [{"name": warm["name"], "memory_mib": warm.get("memory_mib")} for warm in worker.warm_models]
    return {**{name: worker.device.get(name) for name in DEVICE_FIELDS}, "loaded_models": loaded}
