"""What is done when a batch fails: each goes once more, alone, and want of memory climbs a ladder. Owned by a lane.

What was done for a request is noted in it, rung by rung, and ends up with its attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gpu_worker.engine import failures
from gpu_worker.runners.base import Control, Execution, Runner, Stopped

FREE_CACHE = "free_cache"  # what libraries had put aside
SMALLER_BATCH = "smaller_batch"  # alone, without those it ran with
SMALLER_PIECES = "smaller_pieces"  # half of what it did at once
EVICT_IDLE = "evict_idle"  # every model that nobody uses
CAUTION = 60.0  # seconds in which no batch gets larger than half of the one that was too large


class Ladder:
    """For one loaded model. `evict_idle` says how many models went."""

    def __init__(self, runner: Runner, control: Control, evict_idle: Callable[[], int]) -> None:
        self._runner, self._control, self._evict_idle = runner, control, evict_idle
        self._most, self._until = 0, 0.0

    def most(self) -> int | None:
        """How many may run together just now; None: as many as ever."""
        return self._most if time.monotonic() < self._until else None

    def rescue(self, batch: Sequence[Execution], error: Exception) -> None:
        """Afterwards each has advanced, or its outcome: only the guilty one fails."""
        rungs: list[str] = []
        if failures.wants_memory(error):
            rungs = [FREE_CACHE, SMALLER_BATCH] if len(batch) > 1 else [FREE_CACHE]
            self._most, self._until = max(1, len(batch) // 2), time.monotonic() + CAUTION
        elif len(batch) == 1:
            batch[0].outcome = failures.of_request(error)
            return
        for execution in batch:
            if execution.outcome is None:
                execution.relief += [rung for rung in rungs if rung not in execution.relief]
                self._run_alone(execution)

    def _run_alone(self, execution: Execution) -> None:
        while True:
            try:
                return self._runner.run([execution], self._control)
            except Stopped:
                execution.outcome = self._runner.cancelled(execution)
                return
            except Exception as error:  # noqa: BLE001  whatever a library raises ends this request and no other
                rung = self._climb(execution) if failures.wants_memory(error) else None
                if rung is None:
                    execution.outcome = failures.of_request(error)
                    return
                execution.relief.append(rung)

    def _climb(self, execution: Execution) -> str | None:
        """The next thing to try; None: there is nothing left."""
        if self._runner.takes_less(execution):
            return SMALLER_PIECES
        if EVICT_IDLE not in execution.relief and self._evict_idle():
            return EVICT_IDLE
        return None
