"""Text to image through a diffusers pipeline, one image after the other: the bytes depend on its own seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline
from PIL.Image import Image

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners import images, sources
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib

PASSED_ON = ("prompt", "negative_prompt", "width", "height", "num_inference_steps", "guidance_scale")
DEFAULT_STEPS = 30


class StableDiffusionRunner(PretrainedRunner):
    def locate(self, spec: ModelSpec, device: Device) -> sources.Checkpoint:
        return sources.locate(spec, device, download=_download)

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.pipeline = AutoPipelineForText2Image.from_pretrained(
            self.checkpoint.folder,
            dtype=self.dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=spec.options.get("variant"),
        ).to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.accepted = inspect.signature(self.pipeline.__call__).parameters
        self.multiple = max(8, getattr(self.pipeline, "vae_scale_factor", 8))  # pixels
        parts = [part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        return size_mib(*parts)

    def begin(self, execution: Execution) -> None:
        for side in ("width", "height"):
            asked = execution.request.parameters.get(side)
            if asked is not None and asked % self.multiple:
                raise InvalidInput(f"{side} must be a multiple of {self.multiple} for this model", f"parameters.{side}")
        execution.state = seed_of(execution)

    def run(self, batch: Sequence[Execution], control: Control) -> None:
        for execution in batch:
            count = execution.request.parameters.get("num_images") or 1
            seeds = [execution.state + number for number in range(count)]
            drawn = [self._draw(execution, control, number, seed, count) for number, seed in enumerate(seeds)]
            completed = images.completed(execution, drawn, seeds)
            completed.result.update(self._notices(execution.request.input["prompt"]))
            execution.outcome = completed

    def _draw(self, execution: Execution, control: Control, number: int, seed: int, count: int) -> Image:
        steps = execution.request.parameters.get("num_inference_steps") or DEFAULT_STEPS

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            control.checkpoint(execution, number * steps + step + 1, count * steps)
            return tensors

        arguments = self._arguments(execution) | {"num_inference_steps": steps}
        if "callback_on_step_end" in self.accepted:
            arguments["callback_on_step_end"] = after_step
        # on the CPU whatever the device, so that a seed draws the same picture everywhere
        drawn = self.pipeline(**arguments, generator=torch.Generator("cpu").manual_seed(seed), output_type="pil")
        image: Image = drawn.images[0]
        return image

    def _notices(self, prompt: str) -> dict[str, list[str]]:
        """Text encoders cut a long prompt without a word; the user shall know."""
        tokenizers = [part for name, part in self.pipeline.components.items() if name.startswith("tokenizer") and part]
        lengths = [(len(tokenizer(prompt)["input_ids"]), tokenizer.model_max_length) for tokenizer in tokenizers]
        if not lengths or any(length <= limit for length, limit in lengths):
            return {}
        length, limit = max(lengths, key=lambda one: one[1])
        return {"notices": [f"the prompt has {length} tokens; this model reads the first {limit}"]}

    def _arguments(self, execution: Execution) -> dict[str, Any]:
        """What was given and this pipeline takes; not every kind knows a negative prompt."""
        given = {**execution.request.parameters, **execution.request.input}
        return {name: given[name] for name in PASSED_ON if given.get(name) is not None and name in self.accepted}


def _download(spec: ModelSpec) -> str:
    """The parts of the pipeline and no more: repositories hold the same weights several times over."""
    folder = DiffusionPipeline.download(
        spec.source, revision=spec.revision, variant=spec.options.get("variant"), use_safetensors=True
    )
    return str(folder)
