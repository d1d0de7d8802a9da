"""The workers as the pages show them, and the one line that says whether all of it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from tasks_app import selectors
from tasks_app.scheduling import leader
from workers_app import stats
from workers_app.selectors import present_workers
from workers_app.stats import Load, Summary

HOLD_BACK = [("paused", "Pause"), ("draining", "Drain"), ("retired", "Retire")]


@dataclass(frozen=True, slots=True)
class Machines:
    workers: list[dict[str, Any]]  # as `stats.of_worker` says them
    summary: Summary
    word: str  # healthy, degraded, down
    line: str


def read(to_operator: bool) -> Machines:
    now = timezone.now()
    rows, loads, leading = list(present_workers()), selectors.loads(), leader.exists()
    summary = Summary.of(rows, now)
    workers = [_shown(stats.of_worker(row, loads.get(row.name, Load()), now, to_operator)) for row in rows]
    return Machines(workers, summary, summary.word(leading), line(summary, leading))


def line(summary: Summary, leading: bool) -> str:
    if not leading:
        return "No scheduler is running: tasks are accepted and wait."
    if not summary.online:
        return "No worker is online: tasks are accepted and wait."
    words = ("lost", "late", "quarantined", "paused", "draining")
    missing = [f"{number} {word}" for word in words if (number := getattr(summary, word))]
    if summary.absent:
        missing.append(f"{summary.absent} without an external worker behind it")
    return f"{', '.join(missing)}, of {summary.total} workers." if missing else "All systems normal"


def _shown(worker: dict[str, Any]) -> dict[str, Any]:
    """With the word for what a person wants to know first, its slots, and what an operator may make of it."""
    taken = min(worker["total_load"] + worker["abandoned_tasks"], worker["slots"])
    slots = {"taken": range(taken), "free": range(worker["slots"] - taken)}
    return {**worker, **slots, "word": _word(worker), "verbs": _verbs(worker)}


def _word(worker: dict[str, Any]) -> str:
    """Its health, or if that is well, whether it is sound and what it was told to do."""
    if worker["status"] != "online":
        return str(worker["status"])
    if worker["stopping"]:
        return "stopping"
    if worker["quarantine"]:
        return "quarantined"
    if worker["state"] != "active":
        return "drained" if worker["state"] == "draining" and worker["drained"] else str(worker["state"])
    return "online" if worker["engine_state"] == "ready" else str(worker["engine_state"])


def _verbs(worker: dict[str, Any]) -> list[tuple[str, str]]:
    """(state, what the button says)."""
    resumable = worker["quarantine"] or worker["state"] != "active"
    held_back = [verb for verb in HOLD_BACK if verb[0] != worker["state"]]
    return [("active", "Resume"), *held_back] if resumable else held_back
