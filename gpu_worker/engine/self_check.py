"""A small job with a known answer, on the engine's own device: at its start, when torch has come, then ever again.

Made by the loop. A device that computes wrongly raises no error, so only a known answer can tell. For tests: while the
file exists that the environment variable SELF_CHECK_WRONG_WHILE names, the answer is taken for a wrong one.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from gpu_worker.engine import device as devices
from gpu_worker.engine import failures
from gpu_worker.engine.lane import Lane
from gpu_worker.engine.model_cache import Entry, ModelCache
from gpu_worker.engine.outbox import Outbox
from gpu_worker.engine.protocol import Checked, Completed, Finished, ModelSpec, Report, Submit
from gpu_worker.runners import registry
from gpu_worker.runners.base import Execution

log = logging.getLogger(__name__)
INTERVAL = float(os.environ.get("ENGINE_SELF_CHECK_SECONDS") or 300)  # 0: never
PATIENCE = min(60.0, INTERVAL)  # seconds that a check waits for a quiet moment; then its milliseconds are worth it
ANSWER_WITHIN = 30.0  # seconds; a device that has not answered by then hangs
POLL = 0.5  # seconds between two looks whether it is time
SIDE = 128  # of the matrices: an instant on any device
COPIED = 1 << 20  # bytes that go to the device and back

REQUEST = Submit(
    request_id="self-check",
    model=ModelSpec("self-check", "llm", "simulated"),
    input={"prompt": "2 + 2"},
    parameters={"simulate": {"seconds": 0, "steps": 1}},
    directory="",
)
ANSWER = "You said: '2 + 2'. This is a simulated answer, made without a model."


class SelfCheck:
    """`busy` says whether requests run, `report` hears of each check. All but the first have a thread of their own."""

    def __init__(self, device: devices.Device, busy: Callable[[], bool], report: Callable[[Checked], None]) -> None:
        self._device, self._busy, self._report = device, busy, report
        self._began_at: float | None = None  # of the check that runs
        self._knows_torch = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="self-check", daemon=True)

    def start(self) -> None:
        """Returns after the first check, which is there before the engine takes requests."""
        if INTERVAL:
            self._check(routine=False)
            self._thread.start()

    def stop(self) -> None:
        """Begin no more."""
        self._stopped.set()

    def hangs(self) -> bool:
        """Tells once that a check does not come to its end."""
        if self._began_at is None or time.monotonic() - self._began_at < ANSWER_WITHIN:
            return False
        self._began_at = None
        return True

    def _go_on(self) -> None:
        while (routine := self._wait()) is not None:
            self._check(routine)

    def _wait(self) -> bool | None:
        """True when it is time and nothing runs, or has for too long; False when torch came first; None: stopped."""
        due = time.monotonic() + INTERVAL
        while time.monotonic() < due + (PATIENCE if self._busy() else 0.0):
            if not self._knows_torch and devices.imported_torch() is not None:
                return False
            if self._stopped.wait(min(POLL, INTERVAL)):
                return None
        return True

    def _check(self, routine: bool) -> None:
        torch = devices.imported_torch()
        self._knows_torch = torch is not None
        self._began_at = time.monotonic()
        try:
            problem = _is_told_to_fail() or (on_device(self._device, torch) if torch else without_torch(self._device))
        except Exception as error:  # noqa: BLE001  whatever a broken device makes its library raise is the finding
            problem = "" if devices.is_out_of_memory(error) else failures.reason(error)
        self._began_at = None
        self._report(Checked(problem, routine))


def on_device(device: devices.Device, torch: Any) -> str:
    """What is wrong, or nothing. Small integers are exact in every format that a device may compute in."""
    with torch.inference_mode():
        index = torch.arange(SIDE)
        left, right = (index[:, None] + 3 * index) % 8, (5 * index[:, None] + index) % 8
        expected = left @ right  # of integers, so on the host
        product = left.float().to(device.type) @ right.float().to(device.type)
        if not torch.equal(product.cpu().long(), expected):
            return "a product of matrices came out wrong"
        if not torch.equal(product.sum(dim=1).cpu().long(), expected.sum(dim=1)):
            return "a sum came out wrong"
        data = (torch.arange(COPIED) * 31 % 251).to(torch.uint8)
        return "" if torch.equal(data.to(device.type, copy=True).cpu(), data) else "a copy came back changed"


def without_torch(device: devices.Device) -> str:
    """What can be told while no real model was asked for: does this process compute, does a lane answer?"""
    if sum(number * number for number in range(1000)) != 332_833_500:
        return "a sum came out wrong"
    answer = _ask_a_lane(device)
    return "" if answer == ANSWER else f"a simulated model answered {answer!r}"


def _ask_a_lane(device: devices.Device) -> str | None:
    """One of its own, with a cache and an outbox that nobody else sees."""
    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    cache: ModelCache[Lane] = ModelCache(device.budget_mib)
    entry: Entry[Lane] = Entry("self-check", None, time.monotonic())
    entry.lane = Lane("self-check", registry.model_of(REQUEST), entry, cache, Outbox(reports.put), device)
    cache.pin("self-check", lambda: entry).lane.start()
    entry.lane.add(Execution(REQUEST))
    try:
        while True:
            match reports.get(timeout=ANSWER_WITHIN):
                case Finished(outcome=Completed(result=result)):
                    return str(result["text"])
                case Finished():
                    return None
    except queue.Empty:
        return None
    finally:
        entry.lane.close()


def _is_told_to_fail() -> str:
    mark = os.environ.get("SELF_CHECK_WRONG_WHILE")
    return f"the file {mark} says so" if mark and os.path.exists(mark) else ""
