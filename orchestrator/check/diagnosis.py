"""Why a task has not ended: from the task and what the workers say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.check import advice
from orchestrator.check.trouble import Trouble

Json = dict[str, Any]

MORE_TIME = "Give it more time with --timeout; the worker's log shows what it does."


def why_not_ended(task: Json, leader: bool, workers: Sequence[Json], waited: float, told: str = "") -> Trouble:
    """`workers` as /tasks/workers/stats lists them, `waited` in seconds, `told` is what /explain says."""
    match task["status"]:
        case "pending":
            return _why_pending(task, leader, workers, waited, told)
        case "dispatched":
            reason = f"given to {task['worker_id']}, which has not taken it for {waited:g} s"
            return Trouble(reason, "The broker is away or the worker hangs: look at the line `broker` and its log.")
        case "running" if task["phase"] == "loading_model":
            reason = f"{task['worker_id']} is still loading {task['model']} after {waited:g} s"
            return Trouble(reason, "A first load may download the model. " + MORE_TIME)
        case status:
            done = (task["progress"] or {}).get("fraction") or 0.0
            return Trouble(f"still {status} on {task['worker_id']} after {waited:g} s, {done:.0%} done", MORE_TIME)


def _why_pending(task: Json, leader: bool, workers: Sequence[Json], waited: float, told: str) -> Trouble:
    stuck = f"stuck in pending for {waited:g} s"
    online = [worker for worker in workers if worker["status"] == "online"]
    active = [worker for worker in online if _takes_work(worker)]
    capable = [worker for worker in active if _runs(worker, task)]
    busy = [worker for worker in capable if worker["total_load"] >= worker["slots"]]
    if not leader:
        return Trouble(f"{stuck}: no scheduler leads", advice.START_SCHEDULER)
    if not online:
        return Trouble(f"{stuck}: no worker is online", advice.START_WORKER)
    if not active:
        return Trouble(f"{stuck}: every worker is paused, draining, stopping or quarantined", advice.RESUME_WORKER)
    if not capable:
        reason = f"{stuck}: no capable worker for {task['task_type']} with model {task['model']}"
        return Trouble(reason, "See WORKER_KINDS and WORKER_MODELS of your workers.")
    if len(busy) == len(capable):
        slots = sum(worker["slots"] for worker in capable)
        return Trouble(f"{stuck}: all {slots} slots are busy", "Wait, or add workers, slots (WORKER_SLOTS) or time.")
    if task["error"] or task["attempt"]:
        return Trouble(f"{stuck}: it waits for its next try after attempt {task['attempt']}", MORE_TIME)
    return Trouble(
        f"{stuck} although {capable[0]['name']} has a free slot. {told}".strip(),
        "See max_per_worker and memory_mib in the models file: what one worker takes of a model, and what it needs.",
    )


def _takes_work(worker: Json) -> bool:
    return worker["state"] == "active" and not worker["stopping"] and not worker["quarantine"]


def _runs(worker: Json, task: Json) -> bool:
    allowed = worker["allowed_models"]
    return task["task_type"] in worker["kinds"] and (not allowed or task["model"] in allowed)
