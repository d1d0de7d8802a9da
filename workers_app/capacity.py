"""How many tasks of one model a worker takes at once: as many as its engine gains from, and no more. Pure.

The others wait in the queue of record, where they can still go to another worker, be passed by a more urgent one, and
be explained. What an engine is given too early would only stand in line there and hold its slot.
"""

from __future__ import annotations

from workers_app.models import SIMULATED_RUNNER, TaskType

GAINS_FROM = {
    TaskType.LLM: 32,  # they are read together, and more of them hardly slow each other
    TaskType.STABLE_DIFFUSION: 4,
    TaskType.IMAGE_TO_TEXT: 8,
    TaskType.TTS: 2,  # one is spoken, one is ready to follow
}


def per_worker(task_type: str, runner: str | None, said: int | None, max_concurrent: int | None = None) -> int | None:
    """`said` by the operator, or what the runner's option `max_concurrent` says, or what such models gain from.

    None: as many as the worker has slots.
    """
    if said or runner == SIMULATED_RUNNER:
        return said
    return max_concurrent or GAINS_FROM.get(TaskType(task_type))
