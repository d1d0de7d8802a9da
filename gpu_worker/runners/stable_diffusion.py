"""Text to image through a diffusers pipeline, in batches: an image depends on its own seed, and its last bit of grey on
how many were drawn with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline
from PIL.Image import Image

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Completed, ModelSpec
from gpu_worker.runners import images, sources
from gpu_worker.runners.adapters import PipelineBearer
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.image_rows import Canvas, Drawing, NobodyLeft, Row
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.previews import Previews

ONE_FOR_ALL = ("width", "height", "num_inference_steps", "guidance_scale")
ONE_EACH = ("prompt", "negative_prompt")
PIXELS_AT_ONCE = {
    "cpu": 8 * 128 * 128,  # at 128 x 128 eight together take half the time, at 256 x 256 they gain nothing
    "cuda": 8 * 512 * 512,  # memory of the last layer, above all
}
DEFAULT_STEPS = 30


class StableDiffusionRunner(PretrainedRunner):
    max_concurrent = 8
    gathers = True

    def locate(self, spec: ModelSpec, device: Device) -> sources.Checkpoint:
        return sources.locate(spec, device, download=_download)

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.pipeline = AutoPipelineForText2Image.from_pretrained(
            self.checkpoint.folder,
            dtype=self.dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=spec.options.get("variant"),
            device_map=device.type,  # straight there: the host holds no second copy
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.takes_adapters(PipelineBearer(self.pipeline), spec)
        self.accepted = inspect.signature(self.pipeline.__call__).parameters
        self.multiple = max(8, getattr(self.pipeline, "vae_scale_factor", 8))  # pixels
        self.side = _side(self.pipeline)
        self.pixels_at_once = PIXELS_AT_ONCE.get(device.type, 0)
        self.spec_images = spec.options.get("batch_images")
        parts = [part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        return size_mib(*parts)

    def company(self, execution: Execution) -> Hashable:
        """What a whole call has one of. Some pipelines take no negative prompt for something else than an empty one."""
        parameters, given = execution.request.parameters, execution.request.input
        shared = [parameters.get(name) for name in ONE_FOR_ALL]
        return (*shared, _count(execution), given.get("negative_prompt") is None)

    def most(self, execution: Execution) -> int:
        return max(1, self._images_at_once(execution) // _count(execution))

    def begin(self, execution: Execution) -> None:
        parameters = execution.request.parameters
        for side in ("width", "height"):
            asked = parameters.get(side)
            if asked is not None and asked % self.multiple:
                raise InvalidInput(f"{side} must be a multiple of {self.multiple} for this model", f"parameters.{side}")
        seed, steps = seed_of(execution), parameters.get("num_inference_steps") or DEFAULT_STEPS
        seeds = [seed + number for number in range(_count(execution))]
        previews = Previews(self.pipeline) if parameters.get("preview") else None
        execution.state = Drawing(steps, seeds, self._images_at_once(execution), previews)

    def run(self, batch: Sequence[Execution], control: Control) -> None:
        """Draw the next images that share a call; those of a request that have no place there come in the next step."""
        rows = [Row(execution, execution.state, n) for execution in batch for n in execution.state.missing()]
        rows = rows[: min(execution.state.at_once for execution in batch)]
        for row, image in self._draw(rows, control):
            row.drawing.drawn[row.number] = image
        for execution in batch:
            if execution.outcome is None and not execution.state.missing():
                execution.outcome = self._completed(execution)
                control.ended(execution)

    def takes_less(self, execution: Execution) -> bool:
        drawing: Drawing = execution.state
        at_once = min(drawing.at_once, len(drawing.missing()))
        drawing.at_once = max(1, at_once // 2)
        return at_once > 1

    def _draw(self, rows: Sequence[Row], control: Control) -> list[tuple[Row, Image]]:
        canvas = Canvas(self.pipeline, rows, control)
        arguments = self._arguments([row.execution for row in rows]) | {"num_inference_steps": rows[0].drawing.steps}
        if "callback_on_step_end" in self.accepted:
            arguments["callback_on_step_end"] = canvas.after_step
            arguments["callback_on_step_end_tensor_inputs"] = canvas.tensor_inputs
        try:
            drawn = self.pipeline(**arguments, generator=canvas.generators, output_type="pil")
        except NobodyLeft:
            return []
        return [pair for pair in zip(canvas.rows, drawn.images, strict=True) if pair[0].execution.outcome is None]

    def _completed(self, execution: Execution) -> Completed:
        drawing: Drawing = execution.state
        completed = images.completed(execution, [image for _, image in sorted(drawing.drawn.items())], drawing.seeds)
        completed.result.update(self._notices(execution.request.input["prompt"]))
        return completed

    def _images_at_once(self, execution: Execution) -> int:
        """Beyond this a call takes longer by as much as it draws more, or takes too much memory."""
        parameters = execution.request.parameters
        pixels = (parameters.get("width") or self.side) * (parameters.get("height") or self.side)
        fitting = max(1, min(self.max_concurrent, self.pixels_at_once // pixels))
        return int(self.spec_images or fitting)

    def _notices(self, prompt: str) -> dict[str, list[str]]:
        """Text encoders cut a long prompt without a word; the user shall know."""
        tokenizers = [part for name, part in self.pipeline.components.items() if name.startswith("tokenizer") and part]
        lengths = [(len(tokenizer(prompt)["input_ids"]), tokenizer.model_max_length) for tokenizer in tokenizers]
        if not lengths or any(length <= limit for length, limit in lengths):
            return {}
        length, limit = max(lengths, key=lambda one: one[1])
        return {"notices": [f"the prompt has {length} tokens; this model reads the first {limit}"]}

    def _arguments(self, executions: Sequence[Execution]) -> dict[str, Any]:
        """What was given and this pipeline takes; not every kind knows a negative prompt."""
        requests = [execution.request for execution in executions]
        given: dict[str, Any] = {name: requests[0].parameters.get(name) for name in ONE_FOR_ALL}
        for name in ONE_EACH:
            if requests[0].input.get(name) is not None:
                given[name] = [request.input[name] for request in requests]
        return {name: value for name, value in given.items() if value is not None and name in self.accepted}


def _side(pipeline: Any) -> int:
    """Pixels of an image whose size nobody asked for; a guess where the pipeline does not tell."""
    size = getattr(getattr(getattr(pipeline, "unet", None), "config", None), "sample_size", None)
    return size * pipeline.vae_scale_factor if isinstance(size, int) else 1024


def _count(execution: Execution) -> int:
    return int(execution.request.parameters.get("num_images") or 1)


def _download(spec: ModelSpec) -> str:
    """The parts of the pipeline and no more: repositories hold the same weights several times over."""
    folder = DiffusionPipeline.download(
        spec.source, revision=spec.revision, variant=spec.options.get("variant"), use_safetensors=True
    )
    return str(folder)
