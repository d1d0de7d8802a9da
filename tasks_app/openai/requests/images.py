"""The body of POST /v1/images/generations, of which a `stable_diffusion` task is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from tasks_app.openai.requests.fields import Ignored, Only, said, same
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TASK_REQUEST
from tasks_app.schemas.stable_diffusion import StableDiffusionInput
from tasks_app.schemas.strict import MESSAGES, Bounded, Choice, Strict
from workers_app.models import TaskType

OURS = SCHEMAS[TaskType.STABLE_DIFFUSION].parameters.fields
PROMPTS = StableDiffusionInput().fields
SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})\Z", re.ASCII)
EXTRAS = ("num_inference_steps", "guidance_scale", "seed", "simulate")


class Size(Bounded, serializers.CharField):
    """WIDTHxHEIGHT in pixels, or auto for the model's own. What is possible the task's own bounds say."""

    default_error_messages = MESSAGES
    openapi = {"pattern": r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or (data != "auto" and not SIZE.match(data)):
            raise serializers.ValidationError("must be auto or WIDTHxHEIGHT, such as 512x512")
        return data


class ImageRequest(Strict):
    prompt = PROMPTS["prompt"]
    model = same(TASK_REQUEST.fields["model"])
    n = same(OURS["num_images"])
    size = Size(required=False, allow_null=True)
    response_format = Choice(("b64_json", "url"), required=False, allow_null=True)
    output_format = same(OURS["format"])
    output_compression = Only(100)
    background = Only("auto", "opaque")
    stream = Only(False)
    partial_images = Only(0)
    frame_count = Only()
    frame_duration_ms = Only()
    svg = Only()
    quality = Ignored()
    complexity = Ignored()
    style = Ignored()  # type: ignore[assignment]  # DRF takes it out of the class
    moderation = Only("low", "auto")
    safety_identifier = Ignored()
    user = Ignored()
    negative_prompt = same(PROMPTS["negative_prompt"])
    num_inference_steps = same(OURS["num_inference_steps"])
    guidance_scale = same(OURS["guidance_scale"])
    seed = same(OURS["seed"])
    simulate = same(OURS["simulate"])
    priority = same(TASK_REQUEST.fields["priority"])


IMAGE_REQUEST = ImageRequest()


def body_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the task, as of POST /tasks/."""
    parameters = said(asked, {"num_images": "n", "format": "output_format", **{name: name for name in EXTRAS}})
    return {
        "task_type": TaskType.STABLE_DIFFUSION,
        "input": said(asked, {"prompt": "prompt", "negative_prompt": "negative_prompt"}),
        "parameters": parameters | _sides(asked.get("size")),
        **said(asked, {"model": "model", "priority": "priority"}),
    }


def _sides(size: str | None) -> dict[str, int]:
    sides = SIZE.match(size or "")
    return {"width": int(sides[1]), "height": int(sides[2])} if sides else {}
