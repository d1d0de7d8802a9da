"""How much memory the keys and values of a model's texts may take. Called by `llm`, before and after it loads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from gpu_worker.engine.device import MIB, Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners.decoding.paged_cache import LayerShape

ROWS = 32  # requests that are read together, unless the catalogue says less
TOKENS_PER_ROW = 2048  # room by default; few texts are longer, and a longer one may take its neighbours' room
SHARE_OF_BUDGET = 4  # of what models may take on this device, a quarter
SHARE_OF_FREE = 2  # of what is free once the weights are loaded, half


def rows(spec: ModelSpec) -> int:
    return max(1, min(ROWS, int(spec.options.get("max_concurrent", ROWS))))


def wanted_mib(spec: ModelSpec, device: Device, context_length: int, token_bytes: int) -> int:
    """As the catalogue says, else room for every row, within the device's bounds."""
    given = int(spec.options.get("kv_cache_mib", 0))
    if given:
        return given
    mib = rows(spec) * min(context_length, TOKENS_PER_ROW) * token_bytes / MIB
    return math.ceil(min(mib, device.budget_mib / SHARE_OF_BUDGET))


def granted_mib(spec: ModelSpec, device: Device, context_length: int, token_bytes: int) -> int:
    """The same with the weights loaded: less if little memory is free, unless the catalogue insists."""
    wanted = wanted_mib(spec, device, context_length, token_bytes)
    if spec.options.get("kv_cache_mib"):
        return wanted
    return max(1, min(wanted, free_mib(device) // SHARE_OF_FREE))


def free_mib(device: Device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[0]) // MIB
    unused = device.info.memory_total_mib - int(psutil.Process().memory_info().rss) // MIB  # of a container's own limit
    return max(0, min(unused, int(psutil.virtual_memory().available) // MIB))


def token_bytes(shapes: Sequence[LayerShape], dtype: torch.dtype) -> int:
    """Of one token's keys and values in all layers."""
    return sum(shape.heads * (shape.key_size + shape.value_size) for shape in shapes) * dtype.itemsize


def foreseen_token_bytes(folder: Path, dtype: torch.dtype) -> int:
    """The same from a checkpoint's config.json, for before it is loaded; 0 if that does not say."""
    config: Mapping[str, Any] = json.loads((folder / "config.json").read_bytes())
    config = config.get("text_config") or config
    layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
    width = config.get("head_dim") or (config.get("hidden_size") or 0) // (heads or 1)
    return int(2 * (layers or 0) * (config.get("num_key_value_heads") or heads or 0) * width * dtype.itemsize)


def foreseen_context(folder: Path) -> int:
    config: Mapping[str, Any] = json.loads((folder / "config.json").read_bytes())
    return int((config.get("text_config") or config).get("max_position_embeddings") or TOKENS_PER_ROW)
