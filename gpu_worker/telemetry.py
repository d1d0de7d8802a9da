"""What the device does now: NVML where there is a driver, psutil for the host. Read once per heartbeat; no torch."""

from __future__ import annotations

from functools import cache
from typing import Any

import psutil
import pynvml

MIB = 1024 * 1024


def read() -> dict[str, Any]:
    """`utilization` in percent, temperature in °C, power in W; on a GPU its memory too. Only what could be read."""
    handle = _gpu()
    if handle is None:
        return {"utilization": psutil.cpu_percent(), "host_memory_used_mib": psutil.virtual_memory().used // MIB}
    return {name: value for name, query in _QUERIES.items() if (value := _ask(query, handle)) is not None}


@cache
def _gpu() -> Any | None:
    """The first device. One worker serves one GPU: CUDA_VISIBLE_DEVICES or the container says which."""
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError:
        return None


_QUERIES: dict[str, Any] = {
    "memory_used_mib": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used // MIB,
    "utilization": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "temperature_c": lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    "power_w": lambda gpu: round(pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000, 1),
}


def _ask(query: Any, gpu: Any) -> Any | None:
    try:
        return query(gpu)
    except pynvml.NVMLError:  # not every card tells everything
        return None
