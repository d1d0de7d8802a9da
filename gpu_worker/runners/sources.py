"""Where a model's files come from, and what is refused before any library opens them. Called by the pretrained runners.

A model is data: code (`*.py`, `auto_map`) and pickle weights, which are code too, are never loaded.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_worker.engine.device import MIB, Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners.base import ModelRefused

PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
SNAPSHOT_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.safetensors"]
RUNTIME_FACTOR = 1.2  # weights to weights with activations, measured on small models of each kind
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
FLOATS = {"F64", "F32", "F16", "BF16"}
OTHER_BYTES = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2}  # what is not listed takes one
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that passed inspection, the dtype to load it in, and the memory that it will take then."""

    folder: Path
    dtype: str
    memory_mib: int


def locate(spec: ModelSpec, device: Device, download: Callable[[ModelSpec], str] | None = None) -> Checkpoint:
    """The checkpoint of this model, downloaded if it is on a hub. Raises ModelRefused, or the hub's own errors."""
    source = Path(spec.source)
    if source.is_absolute() and not source.is_dir():
        raise ModelRefused(f"there is no folder {source}")
    folder = source if source.is_absolute() else Path((download or _download_snapshot)(spec))
    inspect(folder)
    stored = Counter[str]()
    for path in weight_files(folder, spec.options.get("variant")):
        stored.update(_elements(path))
    dtype = _dtype(spec, device, stored)
    return Checkpoint(folder, dtype, spec.memory_mib or _memory_mib(stored, dtype))


def locate_adapter(spec: ModelSpec) -> Path:
    """The folder of the model's adapter, downloaded if it is on a hub. Raises ModelRefused, or the hub's own errors."""
    adapter = replace(spec, source=spec.adapter, revision=spec.options.get("adapter_revision"))
    folder = Path(spec.adapter)
    if folder.is_absolute() and not folder.is_dir():
        raise ModelRefused(f"there is no folder {folder}")
    folder = folder if folder.is_absolute() else Path(_download_snapshot(adapter))
    inspect(folder)
    return folder


def weights_mib(folder: Path, dtype: str) -> int:
    """What the weights in a folder take, and no more than they."""
    stored = Counter[str]()
    for path in weight_files(folder, None):
        stored.update(_elements(path))
    return math.ceil(_bytes(stored, dtype) / MIB)


def inspect(folder: Path) -> None:
    """Raises ModelRefused for a folder that wants to run code, or whose weights are not in safetensors."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        if path.suffix == ".py":
            raise ModelRefused(f"{path.relative_to(folder)} is code; models with code of their own are not loaded")
        if path.name.endswith("config.json") and _wants_code(json.loads(path.read_bytes())):
            raise ModelRefused(f"{path.relative_to(folder)} has auto_map; models with code of their own are not loaded")
    if any(path.suffix == ".safetensors" for path in files):
        return
    pickled = [str(path.relative_to(folder)) for path in files if path.suffix in PICKLE_SUFFIXES]
    if pickled:
        raise ModelRefused(f"{pickled[0]} is a pickle, which can run code; only safetensors weights are loaded")
    raise ModelRefused("the folder holds no safetensors weights")


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """The weights that a library will read: of a pipeline those of its parts, and one variant only."""
    pattern = "*/*.safetensors" if (folder / "model_index.json").exists() else "*.safetensors"
    files = sorted(folder.glob(pattern))
    chosen = [path for path in files if _variant(path) == variant]
    return chosen or files


def _download_snapshot(spec: ModelSpec) -> str:
    from huggingface_hub import snapshot_download

    return str(snapshot_download(spec.source, revision=spec.revision, allow_patterns=SNAPSHOT_FILES))


def _variant(path: Path) -> str | None:
    """`model.fp16-00001-of-00002.safetensors` is of variant fp16."""
    _, dot, variant = path.stem.partition(".")
    return variant.split("-")[0] if dot else None


def _wants_code(config: Any) -> bool:
    if isinstance(config, dict):
        return "auto_map" in config or any(_wants_code(value) for value in config.values())
    return isinstance(config, list) and any(_wants_code(value) for value in config)


def _elements(path: Path) -> Counter[str]:
    """Elements by stored type, from the header alone: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > MAX_HEADER_BYTES:
            raise ModelRefused(f"{path.name} is not a safetensors file")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    elements = Counter[str]()
    for tensor in header.values():
        elements[tensor["dtype"]] += math.prod(tensor["shape"])
    return elements


def _dtype(spec: ModelSpec, device: Device, stored: Counter[str]) -> str:
    """As asked; else as stored on CUDA, and on the CPU the one that all its kernels know."""
    if spec.dtype != "auto":
        return spec.dtype
    if device.type == "cpu":
        return "float32"
    common = max(DTYPES, key=lambda name: stored[name])
    return DTYPES[common]


def _memory_mib(stored: Counter[str], dtype: str) -> int:
    return math.ceil(_bytes(stored, dtype) * RUNTIME_FACTOR / MIB)


def _bytes(stored: Counter[str], dtype: str) -> int:
    """Floats take the dtype they are loaded in, everything else stays as it is."""
    width = 4 if dtype == "float32" else 2
    return sum(count * (width if name in FLOATS else OTHER_BYTES.get(name, 1)) for name, count in stored.items())
