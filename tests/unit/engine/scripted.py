"""A lane without a process: a runner that does what a test tells it, a device, and a list of what went out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from gpu_worker.engine.device import Device
from gpu_worker.engine.lane import Lane
from gpu_worker.engine.model_cache import Entry, ModelCache
from gpu_worker.engine.outbox import Outbox
from gpu_worker.engine.protocol import (
    Cancelled,
    Completed,
    DeviceInfo,
    Finished,
    ModelSpec,
    Outcome,
    Report,
    Submit,
)
from gpu_worker.runners.base import Control, Execution, Runner

DEVICE = Device(DeviceInfo("cpu", "test", 1000), threads=1, budget_mib=1000)
SPEC = ModelSpec("scripted", "llm", "simulated", memory_mib=100)
PATIENCE = 60.0  # seconds; far more than anything here takes, on a machine that does much else

Step = Callable[[Execution, Control], None]


class ScriptedRunner(Runner):
    """`steps[request_id]` is called for each step; without one the request completes at once."""

    max_concurrent = 4

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.load: Callable[[], object] = lambda: None
        self.batches: list[list[str]] = []
        self.ended: list[str] = []
        self.closed = False

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.load()
        return spec.memory_mib

    def run(self, batch: Sequence[Execution], control: Control) -> None:
        self.batches.append([execution.request.request_id for execution in batch])
        for execution in batch:
            self.steps.get(execution.request.request_id, complete)(execution, control)

    def cancelled(self, execution: Execution) -> Cancelled:
        return Cancelled({"partial": True})

    def end(self, execution: Execution) -> None:
        self.ended.append(execution.request.request_id)

    def close(self) -> None:
        self.closed = True


def complete(execution: Execution, control: Control) -> None:
    execution.outcome = Completed({"ok": True})


def idle(execution: Execution, control: Control) -> None:
    """A step that ends nothing."""
    control.rest(0.005)


class Reports:
    """What an outbox sends, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[Report] = []
        self._changed = threading.Condition()

    def append(self, report: Report) -> None:
        with self._changed:
            self.all.append(report)
            self._changed.notify_all()

    def wait_for(self, found: Callable[[Report], bool]) -> Report:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for report in self.all:
                    if found(report):
                        return report
                assert self._changed.wait(deadline - time.monotonic()), f"not among {self.all}"

    def outcome(self, request_id: str) -> Outcome:
        found = self.wait_for(lambda report: isinstance(report, Finished) and report.request_id == request_id)
        assert isinstance(found, Finished)
        return found.outcome


class Bench:
    """One cache and its lanes, fed as the loop does it."""

    def __init__(self, budget_mib: int = 1000) -> None:
        self.reports = Reports()
        self.cache: ModelCache[Lane] = ModelCache(budget_mib)
        self._outbox = Outbox(self.reports.append)

    def submit(self, request_id: str, spec: ModelSpec = SPEC) -> Lane:
        return self.submit_request(Submit(request_id, spec, {"prompt": "hello"}, {}, directory="/nonexistent"))

    def submit_request(self, request: Submit) -> Lane:
        execution, spec = Execution(request), request.model
        while True:
            entry = self.cache.pin(spec.name, lambda: self._entry(spec))
            if entry.lane.add(execution):
                return entry.lane
            self.cache.unpin(entry)

    def _entry(self, spec: ModelSpec) -> Entry[Lane]:
        entry: Entry[Lane] = Entry(spec.name, spec.keep_alive_seconds, time.monotonic())
        entry.lane = Lane(spec.name, spec, entry, self.cache, self._outbox, DEVICE)
        entry.lane.start()
        return entry


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.002)
