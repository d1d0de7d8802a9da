"""What a worker tells of its device. A stand-in plays NVIDIA's library at its boundary: no test host has a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from gpu_worker import telemetry
from gpu_worker.engine import device, nvml

MIB = 1024 * 1024


@dataclass
class Driver:
    """Two cards, of which the second is ours. `mute` are questions that it does not answer."""

    mute: set[str] = field(default_factory=set)
    xids: list[int] = field(default_factory=list)
    listens_to: list[str] = field(default_factory=list)

    def card(self, number: int) -> str:
        return f"card {number}"

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers: dict[str, Any] = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetHandleByIndex": self.card,
            "nvmlDeviceGetHandleByUUID": lambda uuid: f"card of {uuid}",
            "nvmlDeviceGetName": lambda card: f"name of {card}",
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(used=300 * MIB, total=8000 * MIB),
            "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=71),
            "nvmlDeviceGetTemperature": lambda card, sensor: 64,
            "nvmlDeviceGetPowerUsage": lambda card: 151_234,
            "nvmlDeviceGetTotalEccErrors": lambda card, kind, since: 2,
            "nvmlEventSetCreate": lambda: self.xids,
            "nvmlDeviceRegisterEvents": lambda card, kinds, events: self.listens_to.append(card),
            "nvmlEventSetWait_v2": self.wait,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, self.unless_mute(name, answer))

    def unless_mute(self, name: str, answer: Any) -> Any:
        def ask(*given: Any) -> Any:
            if name in self.mute:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answer(*given)

        return ask

    def wait(self, events: list[int], milliseconds: int) -> Any:
        if not events:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        return SimpleNamespace(eventData=events.pop(0))


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    def forget() -> None:
        for kept in (telemetry._gpu, telemetry._faults, nvml._find):
            kept.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    driver.install(monkeypatch)
    monkeypatch.setattr(nvml.metadata, "version", lambda name: "2.13.0+cu130")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    return driver


def test_a_gpu_tells_load_memory_heat_power_and_faults(driver: Driver) -> None:
    driver.xids = [31, 79]
    assert telemetry.read() == {
        "memory_used_mib": 300,
        "utilization": 71,
        "temperature_c": 64,
        "power_w": 151.2,
        "ecc_errors": 2,
        "xid": 79,
    }
    assert driver.listens_to == ["card 1"]
    assert telemetry.read()["xid"] == 79  # the driver tells it once, we as long as the worker lives


def test_what_a_card_does_not_tell_is_left_out(driver: Driver) -> None:
    driver.mute = {"nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEccErrors", "nvmlDeviceRegisterEvents"}
    assert telemetry.read() == {"memory_used_mib": 300, "utilization": 71, "temperature_c": 64}


@pytest.mark.parametrize(
    ("visible", "name"),
    [("1", "name of card 1"), ("2,0", "name of card 2"), ("GPU-12ab", "name of card of GPU-12ab")],
)
def test_engine_and_worker_ask_the_card_that_torch_will_use(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str, name: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = device.detect()
    assert (found.type, found.info.name, found.info.memory_total_mib) == ("cuda", name, 8000)
    assert device.memory_used_mib(found) == 300
    assert telemetry._gpu() == name.removeprefix("name of ")


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_worker_that_is_to_use_the_cpu_tells_of_the_host(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert {"utilization", "host_memory_used_mib"} <= telemetry.read().keys()
    assert device.detect().type == "cpu"


def test_a_host_without_a_driver_is_no_error(driver: Driver) -> None:
    driver.mute = {"nvmlInit"}
    assert {"utilization", "host_memory_used_mib"} <= telemetry.read().keys()


def test_a_processor_tells_its_heat_where_the_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = [SimpleNamespace(current=51.0), SimpleNamespace(current=58.5)]
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: {"nvme": [], "k10temp": cores}, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert telemetry.read()["temperature_c"] == 58.5
