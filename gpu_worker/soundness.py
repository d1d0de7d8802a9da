"""What self-checks mean over the lives of engines: a second try with a fresh one, then quarantine, then trust again.

Asked by the engine keeper. Pure: it restarts nobody.
"""

from __future__ import annotations

from enum import Enum, auto

from gpu_worker.engine.protocol import Checked

PASSES_TO_TRUST = 3  # routine checks in a row; fewer may be luck


class Verdict(Enum):
    GO_ON = auto()
    RESTART = auto()  # a lost CUDA context heals by it
    QUARANTINE = auto()  # it did not help


class Soundness:
    def __init__(self) -> None:
        self.quarantine = ""  # why; empty while the device is trusted
        self._suspect = False  # an engine has failed, and its successor has not passed often enough yet
        self._passes = 0

    def hear(self, checked: Checked) -> Verdict:
        if not checked.problem:
            self._passes += checked.routine
            if self._passes >= PASSES_TO_TRUST:
                self.trust()
            return Verdict.GO_ON
        self._passes = 0
        if self.quarantine:
            self.quarantine = checked.problem
            # a new engine that fails at its start is kept, or it would be started again without a pause
            return Verdict.RESTART if checked.routine else Verdict.GO_ON
        if self._suspect:
            self.distrust(checked.problem)
            return Verdict.QUARANTINE
        self._suspect = True
        return Verdict.RESTART

    def trust(self) -> None:
        """It has passed often enough, or an operator says that it may work again."""
        self.quarantine, self._suspect, self._passes = "", False, 0

    def distrust(self, reason: str) -> None:
        self.quarantine, self._suspect, self._passes = reason, True, 0
