"""Who of those that wait joins the batch of a lane, and how long it waits for company. Pure; called by the lane."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners.base import Execution, Runner

BATCH_WAIT_MS = 5.0  # milliseconds; tasks that were placed in one round arrive about so far apart


def limit(runner: Runner, spec: ModelSpec) -> int:
    """Executions at once; the catalogue may lower what the runner can take."""
    return min(runner.max_concurrent, int(spec.options.get("max_concurrent", runner.max_concurrent)))


def batch_wait(runner: Runner, spec: ModelSpec) -> float:
    """Seconds since its submission that a request may be held for others to join it."""
    if not runner.gathers or limit(runner, spec) == 1:
        return 0.0
    return float(spec.options.get("batch_wait_ms", BATCH_WAIT_MS)) / 1000


def choose(
    running: Sequence[Execution], waiting: Sequence[Execution], room: int, company: Callable[[Execution], Hashable]
) -> list[Execution]:
    """In their order. The one that waits longest leads the next batch, and its like may come with it from further back.

    While a batch runs it stands at the head of the line: nobody passes it, so the batch runs out and its turn comes.
    """
    if not waiting or room <= 0:
        return []
    if running:
        like = company(running[0])
        strangers = [number for number, execution in enumerate(waiting) if company(execution) != like]
        return list(waiting)[: min([room, *strangers])]
    like = company(waiting[0])
    return [execution for execution in waiting if company(execution) == like][:room]
