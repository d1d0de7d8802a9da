"""A real engine process and everything it says, by request."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gpu_worker.engine.process import EngineProcess
from gpu_worker.engine.protocol import (
    Completed,
    Failed,
    Finished,
    ModelSpec,
    Outcome,
    PhaseChanged,
    Progress,
    Pulse,
    Ready,
    Report,
    Submit,
)

PATIENCE = 60.0  # seconds; the first real model waits for torch to be imported

R = TypeVar("R")
TEXT = ModelSpec("simulated", "llm", "simulated")


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


class Harness:
    """Start with `with`; on leaving the engine is killed, whatever state it is in."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self.reports: list[Report] = []
        self.exits: list[int] = []
        self.process = EngineProcess(self._on_report, self._on_exit, env)

    def __enter__(self) -> Harness:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.exit_code()

    # ------------------------------------------------------------ what a test does

    def submit(
        self, model: ModelSpec, given: Mapping[str, Any] | None = None, number: int = 1, **parameters: Any
    ) -> str:
        request_id = f"request-{next(self._numbers)}"
        given = {"prompt": "a red fox", "text": "Hello there."} if given is None else given
        directory = str(self._folder / request_id)
        self.process.submit(Submit(request_id, model, dict(given), parameters, directory, number))
        return request_id

    def run(self, model: ModelSpec, given: Mapping[str, Any] | None = None, **parameters: Any) -> Outcome:
        return self.outcome(self.submit(model, given, **parameters))

    def completed(self, model: ModelSpec, given: Mapping[str, Any] | None = None, **parameters: Any) -> Completed:
        outcome = self.run(model, given, **parameters)
        assert isinstance(outcome, Completed), outcome
        return outcome

    def failed(self, model: ModelSpec, given: Mapping[str, Any] | None = None, **parameters: Any) -> Failed:
        outcome = self.run(model, given, **parameters)
        assert isinstance(outcome, Failed), outcome
        return outcome

    # ------------------------------------------------------------ what a test sees

    def outcome(self, request_id: str) -> Outcome:
        return self._wait(lambda: next((f.outcome for f in self.all(Finished) if f.request_id == request_id), None))

    def ready(self) -> Ready:
        return self._wait(lambda: next(iter(self.all(Ready)), None))

    def next_pulse(self) -> Pulse:
        seen = len(self.all(Pulse))
        return self._wait(lambda: next(iter(self.all(Pulse)[seen:]), None))

    def progressed(self, request_id: str) -> list[Progress]:
        """Waits for the first progress of this request."""
        return self._wait(lambda: [p for p in self.all(Progress) if p.request_id == request_id])

    def phases(self, request_id: str) -> list[PhaseChanged]:
        return [phase for phase in self.all(PhaseChanged) if phase.request_id == request_id]

    def text(self, request_id: str) -> str:
        return "".join(p.text_delta for p in self.all(Progress) if p.request_id == request_id)

    def exit_code(self) -> int:
        return self._wait(lambda: self.exits or None)[0]

    def all(self, kind: type[R]) -> list[R]:
        with self._changed:
            return [report for report in self.reports if isinstance(report, kind)]

    def _wait(self, look: Callable[[], R | None]) -> R:
        """The first truthy value of `look`, which is asked again after each report."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not (found := look()):
                assert self._changed.wait(deadline - time.monotonic()), f"in vain: {self.reports[-5:]}"
            return found

    def _on_report(self, report: Report) -> None:
        with self._changed:
            self.reports.append(report)
            self._changed.notify_all()

    def _on_exit(self, code: int) -> None:
        with self._changed:
            self.exits.append(code)
            self._changed.notify_all()
