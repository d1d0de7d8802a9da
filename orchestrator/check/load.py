"""A small load: many short simulated tasks from several clients at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from orchestrator.check.report import Result, passed
from orchestrator.check.samples import SIMULATED, simulated
from orchestrator.check.tasks import Tasks

CLIENTS = 8


def load(tasks: Tasks, count: int) -> Result:
    """Raises the Trouble of the first task that does not complete."""
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS, thread_name_prefix="client") as clients:
        seconds = sorted(clients.map(lambda _: _timed(tasks), range(count)))
    rate = count / (time.monotonic() - started)
    median, p95 = rank(seconds, 50), rank(seconds, 95)
    detail = f"{count} tasks, {CLIENTS} clients: {rate:.0f} tasks/s, median {median * 1000:.0f} ms, "
    return passed(
        "load",
        f"{detail}p95 {p95 * 1000:.0f} ms from submit to result",
        tasks=count, clients=CLIENTS, tasks_per_second=rate, median_seconds=median, p95_seconds=p95,
    )  # fmt: skip


def rank(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank: a value that was really seen."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _timed(tasks: Tasks) -> float:
    started = time.monotonic()
    tasks.run(simulated(0, 1), SIMULATED)
    return time.monotonic() - started
