"""What the runners of the Hugging Face libraries share: finding the checkpoint, and loading from it under our rules."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from gpu_worker.engine.device import MIB, Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners import sources
from gpu_worker.runners.adapters import MAX_ADAPTERS, Adapters, Bearer
from gpu_worker.runners.base import Execution, Runner

SEEDS = 2**32  # a seed drawn by us is below this


class PretrainedRunner(Runner):
    checkpoint: sources.Checkpoint
    device: torch.device
    adapters: Adapters | None = None

    def memory_mib(self, spec: ModelSpec, device: Device) -> int:
        self.device = torch.device(device.type)
        self.checkpoint = self.locate(spec, device)
        return self.checkpoint.memory_mib

    def adapter_mib(self, spec: ModelSpec, device: Device) -> int:
        if self.adapters is None:
            return super().adapter_mib(spec, device)
        return self.adapters.needed_mib(spec, device, self.checkpoint.dtype) if spec.adapter else 0

    def adapt(self, spec: ModelSpec, memory_mib: int) -> dict[str, int]:
        if self.adapters is None:
            return {}
        self.adapters.use(spec, memory_mib)
        return self.adapters.memory_mib()

    def takes_adapters(self, bearer: Bearer, spec: ModelSpec) -> None:
        """Said by the setup of a kind that can."""
        self.adapters = Adapters(bearer, int(spec.options.get("max_adapters", MAX_ADAPTERS)))

    def locate(self, spec: ModelSpec, device: Device) -> sources.Checkpoint:
        return sources.locate(spec, device)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.checkpoint.dtype)
        return dtype

    def load(self, auto_class: Any) -> Any:
        """Weights, through one of transformers' auto classes: safetensors only, no code, nothing fetched any more."""
        model = auto_class.from_pretrained(
            self.checkpoint.folder,
            dtype=self.dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            device_map={"": self.device},  # straight there: the host holds no second copy
        )
        return model.eval()

    def load_companion(self, auto_class: Any) -> Any:
        """A tokenizer or processor."""
        return auto_class.from_pretrained(self.checkpoint.folder, trust_remote_code=False, local_files_only=True)


def size_mib(*modules: torch.nn.Module) -> int:
    """What loaded weights and buffers take."""
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    return math.ceil(sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB)


def seed_of(execution: Execution) -> int:
    """The seed asked for, else one of our choice."""
    seed = execution.request.parameters.get("seed")
    return random.randrange(SEEDS) if seed is None else int(seed)
