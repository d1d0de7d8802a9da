"""What the OpenAPI document says of the calls under /v1."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from tasks_app.api.documents.base import Decorator, bounded, call, errors, query
from tasks_app.api.shapes.base import Error
from tasks_app.models import FilePurpose
from tasks_app.openai import shapes
from tasks_app.openai import shapes_batches as batches
from tasks_app.openai.requests.batches import BatchCreateRequest
from tasks_app.openai.requests.chat import ChatRequest
from tasks_app.openai.requests.completions import CompletionRequest
from tasks_app.openai.requests.images import ImageRequest
from tasks_app.openai.requests.speech import SpeechRequest

OPENAI = "for OpenAI's clients"
FILE_ID = OpenApiParameter("file_id", str, OpenApiParameter.PATH)
BATCH_ID = OpenApiParameter("batch_id", str, OpenApiParameter.PATH)
AFTER = query("after", description="The id of the last row of the page before.")
MODEL = OpenApiParameter("model", str, OpenApiParameter.PATH)
TASK = OpenApiParameter(
    "X-Task-Id",
    str,
    OpenApiParameter.HEADER,
    response=[200, 400, 409, 500, 503, 504],
    description="The task behind it.",
)
STREAMED = "With `stream: true` server-sent events whose data are such chunks; the last one's is `[DONE]`."
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
    {(200, "application/json"): shapes.ChatCompletion, (200, "text/event-stream"): shapes.ChatCompletionChunk},
    STREAMED,
)
create_completion = _held(
    "openai_create_completion",
    "Text for a prompt",
    CompletionRequest,
    {(200, "application/json"): shapes.Completion, (200, "text/event-stream"): shapes.CompletionChunk},
    STREAMED,
)
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
list_files = call(
    operation_id="openai_list_files",
    tags=[OPENAI],
    summary="Files, newest first",
    parameters=[
        AFTER,
        bounded("limit", 1, 10_000, "Files per page; 10,000 if left out."),
        query("order", enum=["desc", "asc"]),
        query("purpose", enum=FilePurpose.values),
    ],
    responses={200: batches.OpenAIFileList, **errors(400)},
)
upload_file = call(
    operation_id="openai_upload_file",
    tags=[OPENAI],
    summary="Upload a file with the requests of a batch: JSON, one in each line",
    request={
        "multipart/form-data": inline_serializer(
            "BatchFileUpload", {"file": serializers.FileField(), "purpose": shapes.constant("batch")}
        )
    },
    responses={200: batches.OpenAIFile, **errors(400, 413, 415)},
)
read_file = call(
    operation_id="openai_read_file",
    tags=[OPENAI],
    summary="One file, but for its content",
    parameters=[FILE_ID],
    responses={200: batches.OpenAIFile, **errors(400, 404)},
)
delete_file = call(
    operation_id="openai_delete_file",
    tags=[OPENAI],
    summary="Delete a file",
    parameters=[FILE_ID],
    responses={200: batches.OpenAIFileDeleted, **errors(400, 404)},
)
read_file_content = call(
    operation_id="openai_read_file_content",
    tags=[OPENAI],
    summary="The content of a file",
    parameters=[FILE_ID],
    responses={(200, "application/jsonl"): OpenApiTypes.BINARY, **errors(400, 404)},
)
list_batches = call(
    operation_id="openai_list_batches",
    tags=[OPENAI],
    summary="Batches, newest first",
    parameters=[AFTER, bounded("limit", 1, 100, "Batches per page; 20 if left out.")],
    responses={200: batches.OpenAIBatchList, **errors(400)},
)
create_batch = call(
    operation_id="openai_create_batch",
    tags=[OPENAI],
    summary="Run all requests of a file",
    description="All of them are taken, or none: then its status is `failed`, and `errors` names the lines.",
    request=BatchCreateRequest,
    responses={200: batches.OpenAIBatch, **errors(400, 404, 413, 415)},
)
read_batch = call(
    operation_id="openai_read_batch",
    tags=[OPENAI],
    summary="How far a batch is, and the files of one that has ended",
    parameters=[BATCH_ID],
    responses={200: batches.OpenAIBatch, **errors(400, 404)},
)
cancel_batch = call(
    operation_id="openai_cancel_batch",
    tags=[OPENAI],
    summary="Cancel what has not ended of a batch",
    parameters=[BATCH_ID],
    request=None,
    responses={200: batches.OpenAIBatch, **errors(400, 404, 409)},
)
