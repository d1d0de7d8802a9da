"""Which device each worker on this host gets: what DEVICES says, else the GPUs that are there. Called by the start.

A worker has one device, and its engine uses the first that CUDA shows it: so the choice is a value of
CUDA_VISIBLE_DEVICES for each, and nothing at all on a host without a GPU.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.local.errors import StartError

GPUS = Path("/proc/driver/nvidia/gpus")  # one entry each, where there is NVIDIA's driver
NAMED = re.compile(r"(?:cuda:)?(\d+)|((?:GPU|MIG)-[0-9A-Za-z/-]+)")  # as CUDA counts them, or by their UUID
CPU = ""  # a CUDA_VISIBLE_DEVICES that shows none


def chosen(environment: Mapping[str, str]) -> list[str]:
    """A value of CUDA_VISIBLE_DEVICES for each device that workers take in turn; empty: they see what we see.

    Raises:
        StartError: DEVICES names something that is no device.
    """
    wanted = (environment.get("DEVICES") or "").strip()
    if wanted and wanted != "all":
        return [_visible(name.strip()) for name in wanted.split(",")]
    shown = environment.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return [part.strip() for part in shown.split(",") if part.strip()] or [CPU]
    return [str(number) for number in range(_count())] or ([CPU] if wanted else [])


def threads(environment: Mapping[str, str], workers: int) -> int:
    """Of each engine's torch. Several engines that each took half of the cores would wait for one another."""
    return int(environment.get("ENGINE_THREADS") or max(1, (os.cpu_count() or 1) // 2 // max(1, workers)))


def _visible(name: str) -> str:
    if name == "cpu":
        return CPU
    match = NAMED.fullmatch(name)
    if match is None:
        raise StartError(f"DEVICES: {name!r} is no device; write all, cpu, or some of cuda:0,cuda:1,…")
    return match[1] or match[2]


def _count() -> int:
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
