"""The one device of this engine: what it is, what it holds, how its errors look. Called by loop, lanes, runners.

Does not import torch: the engine says that it is ready long before torch is there.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pynvml

from gpu_worker.engine import nvml
from gpu_worker.engine.protocol import DeviceInfo

MIB = 1024 * 1024
USABLE_SHARE = 0.9  # of the device; the rest is for activations, the CUDA context and fragmentation
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Device:
    info: DeviceInfo
    threads: int  # for torch on the CPU
    budget_mib: int  # what loaded models may take together

    @property
    def type(self) -> str:
        return self.info.type


def detect() -> Device:
    """The first visible CUDA device if there is one that torch can use, else the CPU."""
    info = _cuda_info() or DeviceInfo("cpu", _cpu_name(), _host_memory_mib())
    threads = int(os.environ.get("ENGINE_THREADS") or max(1, (os.cpu_count() or 1) // 2))
    budget = int(os.environ.get("ENGINE_MEMORY_MIB") or info.memory_total_mib * USABLE_SHARE)
    return Device(info, threads, budget)


def memory_used_mib(device: Device) -> int:
    """On CUDA all that is in use on the device, whoever uses it; on the CPU what this process holds."""
    if device.type == "cuda":
        return int(pynvml.nvmlDeviceGetMemoryInfo(nvml.handle()).used) // MIB
    return int(psutil.Process().memory_info().rss) // MIB


def release_cached_memory() -> None:
    """Give back what was freed but is kept by the garbage collector and by torch's allocator."""
    gc.collect()
    torch = imported_torch()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    torch = imported_torch()
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    # torch has no class of its own for the CPU
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def is_fatal(error: BaseException) -> bool:
    """A CUDA error other than want of memory poisons the context: every later call of this process fails too."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)


def library_versions() -> dict[str, str]:
    """Versions of what decides an output, read without importing anything."""
    return {name: metadata.version(name) for name in ("torch", "transformers", "diffusers")}


def imported_torch() -> Any:
    """None while nobody has imported it, and also while the preload thread is in the middle of that."""
    torch = sys.modules.get("torch")
    return None if torch is None or getattr(torch.__spec__, "_initializing", False) else torch


def _cuda_info() -> DeviceInfo | None:
    gpu = nvml.handle()
    if gpu is None:
        return None
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    return DeviceInfo("cuda", str(pynvml.nvmlDeviceGetName(gpu)), int(memory.total) // MIB)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return "cpu"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "cpu")


def _host_memory_mib() -> int:
    total = int(psutil.virtual_memory().total)
    try:
        limit = CGROUP_LIMIT.read_text().strip()
    except OSError:  # not Linux, or not in a container
        limit = "max"
    return min(total, int(limit) if limit.isdigit() else total) // MIB
