"""The contract between a lane of the engine and a runner, the code that knows one kind of model.

The lane decides who runs next; the runner advances what it is given and knows no queue, no pipe and no other model.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, ModelSpec, Outcome, Submit


class Stopped(Exception):
    """The request was cancelled. A runner lets it pass, cleaning up with `finally` where it must."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.request.request_id)
        self.execution = execution


class InvalidInput(Exception):
    """The model cannot take this input, and never will; `param` is its path in the request, as `input.prompt`."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ModelRefused(Exception):
    """The model cannot be loaded, for a reason that the message tells in full: operators see no traceback."""


@dataclass(eq=False, slots=True)
class Execution:
    """One request on its way through a lane. The runner sets `outcome` when it ended; the lane does the rest."""

    request: Submit
    cancelled: bool = False  # set by the thread that reads the pipe
    state: Any = None  # what the runner's begin() made, and only that runner reads
    outcome: Outcome | None = None
    submitted_at: float = field(default_factory=time.monotonic)
    began_at: float | None = None
    relief: list[str] = field(default_factory=list)  # what was done for it when memory ran out; engine/relief.py

    def path(self, name: str) -> Path:
        """Where an output file of this request goes."""
        directory = Path(self.request.directory)
        directory.mkdir(parents=True, exist_ok=True)
        return directory / name


class Control(Protocol):
    """What a lane lends to its runner. All calls are cheap; progress is coalesced, text is never lost."""

    def progress(
        self, execution: Execution, step: int, total_steps: int, text_delta: str = "", preview: bytes = b""
    ) -> None:
        """Tell that a step is done. Counts as a sign of life. `preview`: JPEG."""

    def checkpoint(self, execution: Execution, step: int, total_steps: int, text_delta: str = "") -> None:
        """`progress`, then raise Stopped if the request was cancelled. For runners that do all in one call of run()."""

    def tick(self, execution: Execution) -> None:
        """A sign of life between two steps; raises Stopped as `checkpoint` does."""

    def ended(self, execution: Execution) -> None:
        """Report an outcome at once, while others of the batch go on; its `state` is gone then."""

    def rest(self, seconds: float) -> None:
        """Sleep, but less long if a request comes or is cancelled meanwhile."""


class Runner(ABC):
    """Loaded once by `setup`, then called by one thread only. Models that differ by their adapter share one."""

    max_concurrent = 1  # executions that run() takes together; the catalogue's options may lower it
    gathers = False  # run() goes to the end, so whoever comes a moment too late waits for the next batch

    def memory_mib(self, spec: ModelSpec, device: Device) -> int:
        """What the model will take, known before it is loaded. May download. Raises ModelRefused."""
        return spec.memory_mib

    @abstractmethod
    def setup(self, spec: ModelSpec, device: Device) -> int:
        """Load the model; returns the memory it takes, in MiB. Raises whatever the library raises."""

    def adapter_mib(self, spec: ModelSpec, device: Device) -> int:
        """What this model's adapter will take beside the weights; 0 if it is loaded. Raises ModelRefused."""
        if spec.adapter:
            raise ModelRefused("models of this kind take no adapter")
        return 0

    def adapt(self, spec: ModelSpec, memory_mib: int) -> dict[str, int]:
        """Switch to this model's adapter, or to none; returns the MiB of all that are loaded, by their models' names.

        Called when nothing runs, after adapter_mib(). Raises whatever the library raises, and has loaded nothing then.
        """
        return {}

    def company(self, execution: Execution) -> Hashable:
        """Only executions that answer the same run together. Read from the request alone."""
        return None

    def most(self, execution: Execution) -> int:
        """How many like this one run() takes together."""
        return self.max_concurrent

    def takes_less(self, execution: Execution) -> bool:
        """Memory ran out with this one alone: do it in smaller pieces from now on. False if it is all one piece."""
        return False

    def begin(self, execution: Execution) -> None:  # noqa: B027  most kinds have nothing to prepare
        """Take one in. Raises InvalidInput for what only the model can know, as its context length."""

    @abstractmethod
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        """Advance each by one step, or to its end; sets `outcome` of those that ended. May raise anything.

        After an error the lane calls again with each execution alone, so a step must leave no half-changed state.
        """

    def cancelled(self, execution: Execution) -> Cancelled:
        """What to report of an execution that was stopped half-way."""
        return Cancelled()

    def end(self, execution: Execution) -> None:
        """Forget what begin() made. Called once for each begun execution, whatever became of it."""
        execution.state = None

    def close(self) -> None:  # noqa: B027  dropping the object is enough for most
        """The model is being unloaded; nothing runs any more."""
