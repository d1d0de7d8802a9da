"""The engine's self-check: what it finds, when it runs, and that it says so when it cannot end."""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_worker.engine import device as devices
from gpu_worker.engine import self_check
from gpu_worker.engine.protocol import Checked
from gpu_worker.engine.self_check import SelfCheck
from gpu_worker.runners import simulated_results

DEVICE = devices.detect()


class Reports(queue.SimpleQueue[Checked]):
    def next(self) -> Checked:
        return self.get(timeout=10)


class Checking:
    """Makes self-checks whose threads end with the test."""

    def __init__(self) -> None:
        self._made: list[SelfCheck] = []

    def __call__(self, *, busy: bool = False) -> tuple[SelfCheck, Reports]:
        reports = Reports()
        self._made.append(SelfCheck(DEVICE, lambda: busy, reports.put))
        return self._made[-1], reports

    def stop(self) -> None:
        for check in self._made:
            check.stop()
            if check._thread.ident is not None:
                check._thread.join()


@pytest.fixture
def checking() -> Iterator[Checking]:
    made = Checking()
    yield made
    made.stop()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "INTERVAL", 0.02)


def test_a_sound_process_passes_without_torch() -> None:
    assert self_check.without_torch(DEVICE) == ""


def test_the_check_does_not_import_torch() -> None:
    code = (
        "import sys; from gpu_worker.engine import device, self_check;"
        "self_check.SelfCheck(device.detect(), bool, print).start(); print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert told.split("\n")[:2] == ["Checked(problem='', routine=False)", "False"]


def test_a_lane_that_answers_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_results, "words", lambda request: ("five",))
    assert self_check.without_torch(DEVICE) == "a simulated model answered 'five'"


def test_a_sound_device_passes() -> None:
    torch = pytest.importorskip("torch")
    assert self_check.on_device(DEVICE, torch) == ""


class WrongOnce:
    """Torch, but for one operation that goes wrong as a broken device's would."""

    def __init__(self, torch: Any, wrong: int) -> None:
        self._torch, self._left = torch, wrong

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)

    def equal(self, one: Any, other: Any) -> bool:
        self._left -= 1
        return bool(self._torch.equal(one + (self._left == 0), other))


@pytest.mark.parametrize(
    ("operation", "says"), [(1, "a product of matrices"), (2, "a sum"), (3, "a copy came back changed")]
)
def test_one_wrong_number_is_found(operation: int, says: str) -> None:
    torch = pytest.importorskip("torch")
    assert self_check.on_device(DEVICE, WrongOnce(torch, operation)).startswith(says)


def test_the_first_check_is_there_before_start_returns_and_others_follow(checking: Checking, often: None) -> None:
    check, reports = checking()
    check.start()
    assert reports.get_nowait() == Checked("", routine=False)
    while not reports.next().routine:
        pass  # torch came first, if another test of this process imports it


def test_an_interval_of_nought_checks_nothing(checking: Checking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "INTERVAL", 0)
    check, reports = checking()
    check.start()
    assert reports.empty()


def test_a_device_that_is_always_busy_is_checked_all_the_same(
    checking: Checking, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "PATIENCE", 0.05)
    check, reports = checking(busy=True)
    check.start()
    reports.next()
    assert reports.next().problem == ""


def broken(error: Exception) -> Any:
    def without_torch(device: devices.Device) -> str:
        raise error

    return without_torch


@pytest.mark.parametrize(
    ("error", "problem"),
    [(RuntimeError("CUDA error: device-side assert"), "RuntimeError: CUDA error: device-side assert"),
     (MemoryError("full"), "")],
    ids=["broken", "only full"],
)  # fmt: skip
def test_an_error_is_a_finding_but_want_of_memory_is_not(
    checking: Checking, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    monkeypatch.setattr(devices, "imported_torch", lambda: None)
    monkeypatch.setattr(self_check, "without_torch", broken(error))
    check, reports = checking()
    check.start()
    assert reports.next() == Checked(problem, routine=False)


def test_a_check_that_does_not_end_is_told_once(checking: Checking, monkeypatch: pytest.MonkeyPatch) -> None:
    check, _ = checking()
    assert not check.hangs()
    monkeypatch.setattr(self_check, "ANSWER_WITHIN", 0.0)
    told: list[bool] = []

    def answers_late(device: devices.Device) -> str:
        told.extend((check.hangs(), check.hangs()))
        return ""

    monkeypatch.setattr(devices, "imported_torch", lambda: None)
    monkeypatch.setattr(self_check, "without_torch", answers_late)
    check.start()
    assert told == [True, False]


def test_a_file_makes_the_answer_wrong_for_as_long_as_it_is_there(
    checking: Checking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "wrong"
    monkeypatch.setenv("SELF_CHECK_WRONG_WHILE", str(mark))
    for exists in (True, False):
        mark.touch() if exists else mark.unlink()
        check, reports = checking()
        check.start()
        assert bool(reports.next().problem) == exists
