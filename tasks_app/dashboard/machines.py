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


@dataclass(frozen=True, slots=True)
class Machines:
    workers: list[dict[str, Any]]  # as `stats.of_worker` says them
    summary: Summary
    word: str  # healthy, degraded, down
    line: str


def read() -> Machines:
    now = timezone.now()
    rows, loads, leading = list(present_workers()), selectors.loads(), leader.exists()
    summary = Summary.of(rows, now)
    workers = [_shown(stats.of_worker(row, loads.get(row.name, Load()), now)) for row in rows]
    return Machines(workers, summary, summary.word(leading), line(summary, leading))


def line(summary: Summary, leading: bool) -> str:
    if not leading:
        return "No scheduler is running: tasks are accepted and wait."
    if not summary.online:
        return "No worker is online: tasks are accepted and wait."
    missing = [
        f"{number} {word}"
        for number, word in (
            (summary.lost, "lost"),
            (summary.late, "late"),
            (summary.paused, "paused or draining"),
            (summary.absent, "without an external worker behind it"),
        )
        if number
    ]
    return f"{', '.join(missing)}, of {summary.total} workers." if missing else "All systems normal"


def _shown(worker: dict[str, Any]) -> dict[str, Any]:
    """One word for what a person wants to know first: its health, or if that is well, what it was told to do."""
    word = worker["status"]
    if word == "online" and (worker["stopping"] or worker["state"] != "active"):
        word = "stopping" if worker["stopping"] else worker["state"]
    elif word == "online" and worker["engine_state"] != "ready":
        word = worker["engine_state"]
    taken = min(worker["total_load"] + worker["abandoned_tasks"], worker["slots"])
    return {**worker, "word": str(word), "taken": range(taken), "free": range(worker["slots"] - taken)}
