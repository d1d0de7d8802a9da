"""What each task type takes, with every bound, declared once. A new kind is one file and one line of SCHEMAS.

Read by the API, the OpenAPI document and the submit form; knows no request and no row.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks_app.schemas.image_to_text import ImageToTextInput, ImageToTextParameters
from tasks_app.schemas.llm import LlmInput, LlmParameters
from tasks_app.schemas.parameters import Parameters
from tasks_app.schemas.stable_diffusion import StableDiffusionInput, StableDiffusionParameters
from tasks_app.schemas.strict import Strict
from tasks_app.schemas.tts import TtsInput, TtsParameters
from workers_app.models import TaskType


@dataclass(frozen=True, slots=True)
class Schema:
    """Serializers that are made once and only ever asked to `run_validation`."""

    input: Strict
    parameters: Parameters


SCHEMAS: dict[str, Schema] = {
    TaskType.LLM: Schema(LlmInput(), LlmParameters()),
    TaskType.STABLE_DIFFUSION: Schema(StableDiffusionInput(), StableDiffusionParameters()),
    TaskType.TTS: Schema(TtsInput(), TtsParameters()),
    TaskType.IMAGE_TO_TEXT: Schema(ImageToTextInput(), ImageToTextParameters()),
}
