"""Finds this process's GPU among those that NVIDIA's driver knows. Called by the engine's device and by telemetry."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from typing import Any

import pynvml


def handle() -> Any | None:
    """Of the device that torch will call cuda:0; None if torch cannot use any, or there is no driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if "+cpu" in metadata.version("torch") or visible in ("", "-1"):
        return None
    return _find(visible)


@cache
def _find(visible: str) -> Any | None:
    try:
        pynvml.nvmlInit()
        if visible.isdigit():
            return pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        return pynvml.nvmlDeviceGetHandleByUUID(visible)
    except pynvml.NVMLError:  # the ordinary case of a CPU host
        return None
