"""Which device each worker of `make run` gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.local import configuration, devices, processes
from orchestrator.local.errors import StartError


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host with as many GPUs as this folder has entries; at first none."""
    folder = tmp_path / "gpus"
    folder.mkdir()
    monkeypatch.setattr(devices, "GPUS", folder)
    return folder


def plug_in(gpus: Path, number: int) -> None:
    for slot in range(number):
        (gpus / f"0000:0{slot}:00.0").mkdir()


def visible(environment: dict[str, str], count: int) -> list[str | None]:
    return [program.environment.get("CUDA_VISIBLE_DEVICES") for program in processes.workers(environment, count)]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["0", "1", "2", "0"]),
        ({"DEVICES": "all"}, ["0", "1", "2", "0"]),
        ({"DEVICES": "cuda:2, cuda:0"}, ["2", "0", "2", "0"]),
        ({"DEVICES": "1"}, ["1", "1", "1", "1"]),
        ({"DEVICES": "cpu"}, ["", "", "", ""]),
        ({"DEVICES": "cuda:1,cpu"}, ["1", "", "1", ""]),
        ({"DEVICES": "GPU-8a6f-11"}, ["GPU-8a6f-11"] * 4),
        ({"CUDA_VISIBLE_DEVICES": "1,2"}, ["1", "2", "1", "2"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, ["", "", "", ""]),
        ({"CUDA_VISIBLE_DEVICES": "1,2", "DEVICES": "cuda:0"}, ["0", "0", "0", "0"]),
        ({"CUDA_VISIBLE_DEVICES": "1,2", "DEVICES": "all"}, ["1", "2", "1", "2"]),
    ],
)
def test_workers_take_the_devices_in_turn(gpus: Path, environment: dict[str, str], expected: list[str]) -> None:
    plug_in(gpus, 3)
    assert visible(environment, 4) == expected


def test_without_a_gpu_nothing_is_said() -> None:
    assert visible({}, 2) == [None, None]
    assert visible({"DEVICES": "all"}, 1) == [""]


@pytest.mark.parametrize(("wanted", "workers"), [("", 1), ("all", 3), ("cuda:0,cuda:1", 2), ("cpu", 1)])
def test_there_is_a_worker_for_each_device_that_is_named(gpus: Path, tmp_path: Path, wanted: str, workers: int) -> None:
    plug_in(gpus, 3)
    assert configuration.read({"DEVICES": wanted}, tmp_path / ".env").workers == workers
    assert configuration.read({"DEVICES": wanted, "WORKERS": "5"}, tmp_path / ".env").workers == 5


@pytest.mark.parametrize("wanted", ["gpu", "cuda", "cuda:x", "cuda:0,,cuda:1", "0;1"])
def test_what_is_no_device_is_named(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(StartError, match="DEVICES"):
        configuration.read({"DEVICES": wanted}, tmp_path / ".env")


def test_engines_on_one_host_divide_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    threads = [devices.threads({}, workers) for workers in (1, 2, 4, 40)]
    assert threads == [8, 4, 2, 1]
    assert devices.threads({"ENGINE_THREADS": "5"}, 4) == 5
