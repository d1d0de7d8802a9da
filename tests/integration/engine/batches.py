"""A language model runner without a process, moved step by step, so that a test decides who is in which batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Completed, DeviceInfo, ModelSpec, Outcome, Submit
from gpu_worker.runners.base import Execution
from gpu_worker.runners.llm import LanguageModelRunner

DEVICE = Device(DeviceInfo("cpu", "test", 4000), threads=1, budget_mib=4000)


class Told:
    """The control that a lane lends, as far as a language model uses it: a list of what was told."""

    def __init__(self) -> None:
        self.deltas: dict[str, list[str]] = {}

    def progress(self, execution: Execution, step: int, total_steps: int, text_delta: str = "") -> None:
        self.deltas.setdefault(execution.request.request_id, []).append(text_delta)

    checkpoint = progress

    def tick(self, execution: Execution) -> None: ...

    def rest(self, seconds: float) -> None: ...


class Batches:
    def __init__(self, spec: ModelSpec) -> None:
        self.runner = LanguageModelRunner()
        self.foreseen_mib = self.runner.memory_mib(spec, DEVICE)
        self.memory_mib = self.runner.setup(spec, DEVICE)
        self.told = Told()
        self._spec = spec
        self._numbers = 0

    def begin(self, prompt: str, **parameters: Any) -> Execution:
        self._numbers += 1
        execution = Execution(
            Submit(str(self._numbers), self._spec, {"prompt": prompt}, parameters, directory="/nonexistent")
        )
        self.runner.begin(execution)
        return execution

    def step(self, batch: Sequence[Execution]) -> list[Execution]:
        """One step of all; who goes on after it."""
        self.runner.run(batch, self.told)
        for execution in batch:
            if execution.outcome is not None:
                self.runner.end(execution)
        return [execution for execution in batch if execution.outcome is None]

    def finish(self, batch: Sequence[Execution]) -> list[Outcome]:
        left = list(batch)
        while left:
            left = self.step(left)
        return [execution.outcome for execution in batch if execution.outcome is not None]

    def say(self, prompt: str, **parameters: Any) -> str:
        """What it says alone."""
        return text(self.finish([self.begin(prompt, **parameters)])[0])


def text(outcome: Outcome | None) -> str:
    assert isinstance(outcome, Completed), outcome
    return str(outcome.result["text"])
