"""Images from text."""

from __future__ import annotations

from typing import Any

from tasks_app.schemas.llm import MAX_CHARACTERS
from tasks_app.schemas.parameters import Parameters
from tasks_app.schemas.strict import Choice, Flag, Integer, Number, Strict, Text

OWN: dict[str, Any] = {"default": None, "allow_null": True}  # left out: what the model itself does best


class StableDiffusionInput(Strict):
    prompt = Text(1, MAX_CHARACTERS)
    negative_prompt = Text(0, MAX_CHARACTERS, required=False, allow_null=True)


class StableDiffusionParameters(Parameters):
    width = Integer(64, 2048, multiple_of=8, help_text="Pixels; left out: the model's own size.", **OWN)
    height = Integer(64, 2048, multiple_of=8, help_text="Pixels; left out: the model's own size.", **OWN)
    num_inference_steps = Integer(1, 150, default=30)
    guidance_scale = Number(0, 30, help_text="Left out: the model's own.", **OWN)
    num_images = Integer(1, 4, default=1)
    format = Choice(("png", "webp", "jpeg"), default="png")
    preview = Flag(default=False, help_text="Let task.progress carry small pictures of the first image as it is drawn.")
