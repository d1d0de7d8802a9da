"""Shapes of the answers about files and batches, for the OpenAPI document; tests compare them with what is rendered."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.models import BatchOutcome, FilePurpose
from tasks_app.openai.requests.batches import ENDPOINTS
from tasks_app.openai.shapes import constant, page

STATUSES = ["in_progress", "finalizing", "cancelling", *BatchOutcome.values]
TIMES = ("in_progress_at", "expires_at", "finalizing_at", "cancelling_at", *(f"{o}_at" for o in BatchOutcome))


class OpenAIFile(s.Serializer[Any]):
    id = s.CharField()
    object = constant("file")
    bytes = s.IntegerField()
    created_at = s.IntegerField(help_text="Unix time, in seconds.")
    expires_at = nullable(s.IntegerField)
    filename = s.CharField()
    purpose = s.ChoiceField(FilePurpose.values)
    status = constant("processed")
    status_details = nullable(s.CharField)


class OpenAIFileDeleted(s.Serializer[Any]):
    id = s.CharField()
    object = constant("file")
    deleted = s.BooleanField()


class BatchProblem(s.Serializer[Any]):
    code = s.CharField()
    message = s.CharField()
    line = nullable(s.IntegerField)
    param = nullable(s.CharField)


BatchProblems = type("BatchProblems", (s.Serializer,), {"object": constant("list"), "data": BatchProblem(many=True)})


class BatchRequestCounts(s.Serializer[Any]):
    total = s.IntegerField()
    completed = s.IntegerField()
    failed = s.IntegerField(help_text="Expired ones too.")


class CachedTokens(s.Serializer[Any]):
    cached_tokens = s.IntegerField()


class ReasoningTokens(s.Serializer[Any]):
    reasoning_tokens = s.IntegerField()


class BatchUsage(s.Serializer[Any]):
    input_tokens = s.IntegerField()
    input_tokens_details = CachedTokens()
    output_tokens = s.IntegerField()
    output_tokens_details = ReasoningTokens()
    total_tokens = s.IntegerField()


_BATCH: dict[str, Any] = {
    "id": s.CharField(),
    "object": constant("batch"),
    "endpoint": s.ChoiceField(ENDPOINTS),
    "completion_window": constant("24h"),
    "status": s.ChoiceField(STATUSES),
    "input_file_id": s.CharField(),
    "output_file_id": nullable(s.CharField),
    "error_file_id": nullable(s.CharField),
    "errors": BatchProblems(allow_null=True),
    "metadata": s.DictField(child=s.CharField()),
    "request_counts": BatchRequestCounts(),
    "usage": BatchUsage(allow_null=True),
    "created_at": s.IntegerField(help_text="Unix time, in seconds."),
    **{name: nullable(s.IntegerField) for name in TIMES},
}
OpenAIBatch = type("OpenAIBatch", (s.Serializer,), _BATCH)  # `errors` is a name that serializers have for themselves
OpenAIFileList = page("OpenAIFileList", OpenAIFile)
OpenAIBatchList = page("OpenAIBatchList", OpenAIBatch)
