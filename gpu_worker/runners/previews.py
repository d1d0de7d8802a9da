"""Small pictures of an image while it is drawn, through the model's own decoder. Called by Stable Diffusion's runner.

They cost a tenth of the time at most, whatever the model: after one that took long the next comes the later. They take
nothing from the seed, so the image is the same with them and without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import torch
from PIL import Image

from gpu_worker.engine import failures

EVERY = 1.0  # seconds between two
SHARE = 10  # … or so many times as long as the last one took
SIDE = 32  # latents: 256 pixels where the decoder makes 8 of one, which costs the same whatever the image's size
JPEG = {"quality": 70}


class Previews:
    """Of one request."""

    def __init__(self, pipeline: Any, clock: Callable[[], float] = time.monotonic) -> None:
        decoder: Any = getattr(pipeline, "vae", None)
        scale = getattr(getattr(decoder, "config", None), "scaling_factor", None)
        self._decoder: Any = decoder if scale else None
        self._clock = clock
        self._not_before = clock() + EVERY / 2  # what is done at once needs none

    def next(self, latents: torch.Tensor) -> bytes:
        """A JPEG of latents (1, channels, height, width), or nothing: it is too soon, or these cannot be decoded."""
        began = self._clock()
        if began < self._not_before or latents.ndim != 4 or self._decoder is None:
            return b""
        try:
            picture = self._decoded(latents)
        except (RuntimeError, MemoryError) as error:
            if not failures.wants_memory(error):
                raise
            self._decoder = None  # the image itself needs the room
            return b""
        ended = self._clock()
        self._not_before = ended + max(EVERY, SHARE * (ended - began))
        return picture

    @torch.no_grad()
    def _decoded(self, latents: torch.Tensor) -> bytes:
        config, dtype = self._decoder.config, self._decoder.dtype
        narrow = dtype == torch.float16 and getattr(config, "force_upcast", False)  # it would only make black of them
        small = _shrunk(latents.float()) / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
        try:
            if narrow:
                self._decoder.to(dtype=torch.float32)
            image = self._decoder.decode(small.to(self._decoder.dtype), return_dict=False)[0][0]
        finally:
            if narrow:
                self._decoder.to(dtype=dtype)
        return _jpeg(image)


def _shrunk(latents: torch.Tensor) -> torch.Tensor:
    longest = max(latents.shape[2:])
    if longest <= SIDE:
        return latents
    size = [max(1, round(side * SIDE / longest)) for side in latents.shape[2:]]
    return torch.nn.functional.interpolate(latents, size=size, mode="area")


def _jpeg(image: torch.Tensor) -> bytes:
    """Of (3, height, width), -1 to 1."""
    levels = (image.float() / 2 + 0.5).clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    buffer = BytesIO()
    Image.fromarray(levels.permute(1, 2, 0).numpy()).save(buffer, format="jpeg", **JPEG)
    return buffer.getvalue()
