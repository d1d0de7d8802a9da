"""LoRA adapters on a loaded model: several share its weights, one at a time is switched on. Owned by a runner.

An adapter is data like a model: safetensors, no code. Called from the thread of the model's lane alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners import sources
from gpu_worker.runners.base import ModelRefused

MAX_ADAPTERS = 8  # on one model; switching looks at each of them in every layer
PEFT_WEIGHTS = "adapter_model.safetensors"


class Bearer(Protocol):
    """What a library does with adapters; `name` is ours, a new one for each load."""

    def check(self, folder: Path) -> None:
        """Raises ModelRefused if the folder holds no adapter of this library."""

    def load(self, folder: Path, name: str) -> None: ...

    def use(self, name: str | None) -> None:
        """None: the bare model."""

    def drop(self, name: str) -> None: ...


@dataclass(slots=True)
class _Loaded:
    adapter: str
    name: str  # the library's
    memory_mib: int


class Adapters:
    """Those of one model, by the name that the catalogue gives the adapted model, the most recently used last."""

    def __init__(self, bearer: Bearer, most: int) -> None:
        self._bearer, self._most = bearer, most
        self._loaded: dict[str, _Loaded] = {}
        self._number = 0

    def needed_mib(self, spec: ModelSpec, device: Device, dtype: str) -> int:
        """What it will take; 0 if it is there. May download. Raises ModelRefused."""
        if self._known(spec):
            return 0
        self._folder = sources.locate_adapter(spec)
        self._bearer.check(self._folder)
        return sources.weights_mib(self._folder, dtype)

    def use(self, spec: ModelSpec, memory_mib: int) -> None:
        """From now on the model is this one; an adapter that nobody used for longest goes for a new one."""
        if not spec.adapter:
            return self._bearer.use(None)
        if not self._known(spec):
            self._make_way(spec.name)
            self._load(spec, memory_mib)
        self._loaded[spec.name] = loaded = self._loaded.pop(spec.name)
        self._bearer.use(loaded.name)

    def memory_mib(self) -> dict[str, int]:
        return {name: loaded.memory_mib for name, loaded in self._loaded.items()}

    def _known(self, spec: ModelSpec) -> bool:
        return spec.name in self._loaded and self._loaded[spec.name].adapter == spec.adapter

    def _make_way(self, name: str) -> None:
        if name in self._loaded:  # the catalogue names another folder now
            self._bearer.drop(self._loaded.pop(name).name)
        while len(self._loaded) >= self._most:
            self._bearer.drop(self._loaded.pop(next(iter(self._loaded))).name)

    def _load(self, spec: ModelSpec, memory_mib: int) -> None:
        self._number += 1
        name = f"baton_adapter_{self._number:06d}"
        self._bearer.load(self._folder, name)
        self._loaded[spec.name] = _Loaded(spec.adapter, name, memory_mib)


class TransformersBearer:
    def __init__(self, model: Any) -> None:
        self._model = model

    def check(self, folder: Path) -> None:
        config = folder / "adapter_config.json"
        if not config.is_file() or not (folder / PEFT_WEIGHTS).is_file():
            raise ModelRefused(f"the adapter needs adapter_config.json and {PEFT_WEIGHTS}")
        kind = json.loads(config.read_bytes()).get("peft_type")
        if kind != "LORA":
            raise ModelRefused(f"the adapter is of type {kind}; only LORA is supported")

    def load(self, folder: Path, name: str) -> None:
        try:
            told = self._model.load_adapter(
                str(folder), adapter_name=name, use_safetensors=True, adapter_kwargs={"local_files_only": True}
            )
            missing = [
                key for key in told.missing_keys if name in key
            ]  # what it calls so of others is loaded long since
            _refuse_misfit(missing, told.unexpected_keys)
        except Exception:
            _drop_half_loaded(self._model.delete_adapter, name, getattr(self._model, "peft_config", {}))
            raise

    def use(self, name: str | None) -> None:
        if name is not None:
            self._model.set_adapter(name)
            self._model.enable_adapters()
        elif getattr(self._model, "_hf_peft_config_loaded", False):
            self._model.disable_adapters()

    def drop(self, name: str) -> None:
        self._model.delete_adapter(name)


class PipelineBearer:
    """Diffusers' own format and that of kohya's trainers; which layers it is for is in the names of its weights."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def check(self, folder: Path) -> None:
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise ModelRefused(f"{type(self._pipeline).__name__} takes no adapters")
        files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            raise ModelRefused(f"the adapter's folder holds {len(files)} safetensors files, and must hold one")

    def load(self, folder: Path, name: str) -> None:
        [file] = folder.glob("*.safetensors")
        try:
            self._pipeline.load_lora_weights(
                str(folder), weight_name=file.name, adapter_name=name, use_safetensors=True, local_files_only=True
            )
            if name not in {one for part in self._pipeline.get_list_adapters().values() for one in part}:
                raise ModelRefused("the adapter has no weights for any layer of this model")
        except Exception:
            _drop_half_loaded(self._pipeline.delete_adapters, name, [name])
            raise

    def use(self, name: str | None) -> None:
        if name is not None:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(name)
        elif self._pipeline.get_list_adapters():
            self._pipeline.disable_lora()

    def drop(self, name: str) -> None:
        self._pipeline.delete_adapters(name)


def _refuse_misfit(missing: Any, unexpected: Any) -> None:
    for keys, what in ((missing, "lacks"), (unexpected, "has unknown")):
        if keys:
            raise ModelRefused(f"the adapter is of another model: it {what} {sorted(keys)[0]} and {len(keys) - 1} more")


def _drop_half_loaded(delete: Callable[[str], Any], name: str, names: Container[str]) -> None:
    """Its layers may be there already, with or without weights."""
    if name in names:
        delete(name)
