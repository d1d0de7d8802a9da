"""What the OpenAPI document says of the calls under /v1."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from tasks_app.api.documents.base import Decorator, call, errors
from tasks_app.api.shapes.base import Error
from tasks_app.openai import shapes
from tasks_app.openai.requests.chat import ChatRequest
from tasks_app.openai.requests.completions import CompletionRequest
from tasks_app.openai.requests.images import ImageRequest
from tasks_app.openai.requests.speech import SpeechRequest

OPENAI = "for OpenAI's clients"
MODEL = OpenApiParameter("model", str, OpenApiParameter.PATH)
TASK = OpenApiParameter(
    "X-Task-Id",
    str,
    OpenApiParameter.HEADER,
    response=[200, 400, 409, 500, 503, 504],
    description="The task behind it.",
)
HELD_ERRORS = {
    409: OpenApiResponse(Error, "The task was cancelled."),
    500: OpenApiResponse(Error, "The task failed; `code` says why."),
    504: OpenApiResponse(Error, "The task did not start or end in time."),
}


def _held(operation_id: str, summary: str, request: Any, answers: dict[Any, Any], description: str = "") -> Decorator:
    return call(
        operation_id=operation_id,
        tags=[OPENAI],
        summary=summary,
        description=description,
        parameters=[TASK],
        request=request,
        responses={**answers, **errors(400, 404, 413, 415, 422), **HELD_ERRORS},
    )


list_models = call(
    operation_id="openai_list_models",
    tags=[OPENAI],
    summary="The models that can be asked for",
    responses={200: shapes.OpenAIModelList, **errors(400)},
)
read_model = call(
    operation_id="openai_read_model",
    tags=[OPENAI],
    summary="One model",
    parameters=[MODEL],
    responses={200: shapes.OpenAIModel, **errors(400, 404)},
)
create_chat_completion = _held(
    "openai_create_chat_completion",
    "Text for a conversation, or about an image",
    ChatRequest,
    {200: shapes.ChatCompletion},
)
create_completion = _held("openai_create_completion", "Text for a prompt", CompletionRequest, {200: shapes.Completion})
create_image = _held("openai_create_image", "Images for a prompt", ImageRequest, {200: shapes.Images})
read_image = call(
    operation_id="openai_read_image",
    tags=[OPENAI],
    summary="An image at an address that an earlier call gave out",
    parameters=[OpenApiParameter("token", str, OpenApiParameter.PATH)],
    auth=[],
    responses={(200, "image/*"): OpenApiTypes.BINARY, **errors(400, 404)},
)
create_speech = _held(
    "openai_create_speech", "Speech for a text", SpeechRequest, {(200, "audio/*"): OpenApiTypes.BINARY}
)
