"""Several images that one call of a diffusion pipeline draws: each has its seed, and leaves when nobody wants it.

Called by the runner of Stable Diffusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL.Image import Image

from gpu_worker.engine.protocol import Cancelled
from gpu_worker.runners.base import Control, Execution
from gpu_worker.runners.previews import Previews

# What a pipeline of this class hands to its callback that has a row for each image (or two, with guidance), and takes
# back shortened. Others keep more rows to themselves than they show, so nothing can leave them.
SHORTENS = {
    "StableDiffusionPipeline": ("latents", "prompt_embeds"),
    "StableDiffusionXLPipeline": ("latents", "prompt_embeds", "add_text_embeds", "add_time_ids"),
}


class NobodyLeft(Exception):
    """All images of the call were cancelled: raised through the pipeline to stop it."""


@dataclass(eq=False, slots=True)
class Drawing:
    """One request: the seed of each of its images, and those that are drawn."""

    steps: int
    seeds: Sequence[int]
    at_once: int  # images that may share a call
    previews: Previews | None = None  # if they were asked for
    drawn: dict[int, Image] = field(default_factory=dict)

    def missing(self) -> list[int]:
        return [number for number in range(len(self.seeds)) if number not in self.drawn]


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """Image `number` of a request."""

    execution: Execution
    drawing: Drawing
    number: int

    @property
    def seed(self) -> int:
        return self.drawing.seeds[self.number]


class Canvas:
    """The rows of one call, while it runs. `rows` are those that still have a place in its tensors."""

    def __init__(self, pipeline: Any, rows: Sequence[Row], control: Control) -> None:
        self.rows = list(rows)
        # on the CPU whatever the device, so that a seed draws the same picture everywhere
        self.generators = [torch.Generator("cpu").manual_seed(row.seed) for row in rows]
        self._control = control
        self._gone: set[Execution] = set()
        self._shortens = _shortens(pipeline)

    @property
    def tensor_inputs(self) -> list[str]:
        return list(self._shortens or ("latents",))

    def after_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline; what it returns replaces the pipeline's own."""
        self._tell(step + 1, getattr(pipeline, "num_timesteps", self.rows[0].drawing.steps), tensors["latents"])
        self._say_goodbye()
        leaving = [row for row in self.rows if row.execution in self._gone]
        if len(leaving) == len(self.rows):
            raise NobodyLeft
        return self._shortened(pipeline, tensors) if leaving and self._shortens else tensors

    def _tell(self, calls: int, of_calls: int, latents: torch.Tensor) -> None:
        """Some schedulers take more calls than steps."""
        for execution in {row.execution: None for row in self.rows if row.execution not in self._gone}:
            mine = [row for row in self.rows if row.execution is execution]
            drawing = mine[0].drawing
            here = drawing.steps * calls // of_calls
            done = len(drawing.drawn) * drawing.steps + len(mine) * here
            preview = self._preview(mine[0], latents) if calls < of_calls else b""
            self._control.progress(execution, done, len(drawing.seeds) * drawing.steps, preview=preview)

    def _preview(self, row: Row, latents: torch.Tensor) -> bytes:
        if row.drawing.previews is None or row.number:
            return b""
        number = self.rows.index(row)
        return row.drawing.previews.next(latents[number : number + 1])

    def _say_goodbye(self) -> None:
        for execution in {row.execution: None for row in self.rows}:
            if execution.cancelled and execution not in self._gone:
                self._gone.add(execution)
                execution.outcome = Cancelled()
                self._control.ended(execution)

    def _shortened(self, pipeline: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        count, shape = len(self.rows), tensors["latents"].shape
        kept = [number for number, row in enumerate(self.rows) if row.execution not in self._gone]
        self.rows = [self.rows[number] for number in kept]
        self.generators[:] = [self.generators[number] for number in kept]  # the pipeline has this very list
        _shorten_memory(pipeline.scheduler, shape, kept)
        return {name: _take(tensor, kept, count) for name, tensor in tensors.items()}


def _shortens(pipeline: Any) -> tuple[str, ...]:
    timestep_cond = getattr(getattr(pipeline, "unet", None), "config", {}).get("time_cond_proj_dim")
    return SHORTENS.get(type(pipeline).__name__, ()) if timestep_cond is None else ()


def _take(tensor: torch.Tensor, kept: Sequence[int], count: int) -> torch.Tensor:
    """These rows of a tensor that has `count` of them, or a multiple: first all without guidance, then all with it."""
    every = [number + count * part for part in range(tensor.shape[0] // count) for number in kept]
    return tensor[every]


def _shorten_memory(scheduler: Any, shape: torch.Size, kept: Sequence[int]) -> None:
    """Many schedulers remember earlier steps, as tensors of the shape of the latents."""

    def shortened(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.shape == shape:
            return value[kept]
        return [shortened(one) for one in value] if isinstance(value, list) else value

    for name, value in vars(scheduler).items():
        if isinstance(value, torch.Tensor | list):
            setattr(scheduler, name, shortened(value))
