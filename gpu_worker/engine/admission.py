"""Who of those that wait joins the batch of a lane, and how long it waits for company. Pure; called by the lane."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners.base import Execution, Runner

BATCH_WAIT_MS = 5.0  # milliseconds; tasks that were placed in one round arrive about so far apart


def limit(runner: Runner, spec: ModelSpec, leader: Execution) -> int:
    """Executions like the leader at once; the catalogue may lower what the runner can take."""
    return min(runner.most(leader), int(spec.options.get("max_concurrent", runner.max_concurrent)))


def batch_wait(runner: Runner, spec: ModelSpec) -> float:
    """Seconds since its submission that a request may be held for others to join it."""
    return float(spec.options.get("batch_wait_ms", BATCH_WAIT_MS)) / 1000 if runner.gathers else 0.0


def choose(
    running: Sequence[Execution],
    waiting: Sequence[Execution],
    runner: Runner,
    spec: ModelSpec,
    most: int | None = None,
) -> list[Execution]:
    """In their order. The one that waits longest leads the next batch, and its like may come with it from further back.

    While a batch runs it stands at the head of the line: nobody passes it, so the batch runs out and its turn comes.
    `most`: as many as may run while memory is short.
    """
    if not waiting:
        return []
    leader = running[0] if running else waiting[0]
    bound = limit(runner, spec, leader)
    room = (bound if most is None else min(bound, most)) - len(running)
    like = [_is_like(leader, execution, runner) for execution in waiting]
    if running:
        first_stranger = like.index(False) if False in like else len(like)
        return list(waiting)[: max(0, min(room, first_stranger))]
    return [execution for execution, is_like in zip(waiting, like, strict=True) if is_like][:room]


def _is_like(leader: Execution, other: Execution, runner: Runner) -> bool:
    return adapted(leader) == adapted(other) and runner.company(leader) == runner.company(other)


def adapted(execution: Execution) -> tuple[str, str] | None:
    """Which adapter its model is: one for a whole batch, for it is switched on in the layers."""
    model = execution.request.model
    return (model.name, model.adapter) if model.adapter else None
