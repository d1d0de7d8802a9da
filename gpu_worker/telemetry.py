"""What the device does now: NVML where the engine has a GPU, psutil otherwise. Read once per heartbeat; no torch."""

from __future__ import annotations

from functools import cache
from typing import Any

import psutil
import pynvml

from gpu_worker.engine import nvml

MIB = 1024 * 1024
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")  # by the kernel's names


def read() -> dict[str, Any]:
    """`utilization` in percent, temperature in °C, power in W; on a GPU its memory and its faults too.

    Only what could be read: not every card, and hardly any virtual machine, tells everything.
    """
    gpu = _gpu()
    if gpu is None:
        return _of_host()
    told = {name: _ask(query, gpu) for name, query in _QUERIES.items()} | {"xid": _faults().newest()}
    return {name: value for name, value in told.items() if value is not None}


def _of_host() -> dict[str, Any]:
    told = {"utilization": psutil.cpu_percent(), "host_memory_used_mib": psutil.virtual_memory().used // MIB}
    temperature = _cpu_temperature()
    return told if temperature is None else told | {"temperature_c": temperature}


def _cpu_temperature() -> float | None:
    """The hottest of the first sensor that the kernel has for this kind of processor."""
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()  # Linux and FreeBSD only
    return next((max(one.current for one in sensors[name]) for name in CPU_SENSORS if sensors.get(name)), None)


@cache
def _gpu() -> Any | None:
    return nvml.handle()


_QUERIES: dict[str, Any] = {
    "memory_used_mib": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used // MIB,
    "utilization": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "temperature_c": lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    "power_w": lambda gpu: round(pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000, 1),
    "ecc_errors": lambda gpu: pynvml.nvmlDeviceGetTotalEccErrors(
        gpu, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    ),  # that could not be corrected, since the driver was loaded
}


def _ask(query: Any, gpu: Any) -> Any | None:
    try:
        return query(gpu)
    except pynvml.NVMLError:  # not every card tells everything
        return None


class _Faults:
    """Xid errors, the driver's numbers for what went wrong; it tells each once, as it happens."""

    def __init__(self, gpu: Any) -> None:
        self._newest: int | None = None
        self._events = _ask(lambda gpu: _listen(gpu), gpu)

    def newest(self) -> int | None:
        while self._events is not None:
            event = _ask(lambda events: pynvml.nvmlEventSetWait_v2(events, 0), self._events)
            if event is None:  # none is waiting
                break
            self._newest = int(event.eventData)
        return self._newest


def _listen(gpu: Any) -> Any:
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeXidCriticalError, events)
    return events


@cache
def _faults() -> _Faults:
    return _Faults(_gpu())
