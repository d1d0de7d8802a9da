"""Shapes of answers about tasks, for the OpenAPI document. Never used to render; a test compares them with `render`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.retries import FailureCode
from tasks_app.states import AttemptOutcome, CancelMode, Phase, Status
from workers_app.models import TaskType


class Progress(s.Serializer[Any]):
    fraction = s.FloatField()
    step = s.IntegerField()
    total_steps = s.IntegerField()


class Timings(s.Serializer[Any]):
    queue_seconds = nullable(s.FloatField)
    model_load_seconds = nullable(s.FloatField)
    inference_seconds = nullable(s.FloatField)
    total_seconds = nullable(s.FloatField)


class Usage(s.Serializer[Any]):
    gpu_seconds = s.FloatField()
    input_tokens = nullable(s.IntegerField)
    output_tokens = nullable(s.IntegerField)
    images = nullable(s.IntegerField)
    audio_seconds = nullable(s.FloatField)


class Cancellation(s.Serializer[Any]):
    requested_at = nullable(s.DateTimeField)
    acknowledged_at = nullable(s.DateTimeField)
    stopped_at = nullable(s.DateTimeField)
    mode = nullable(s.ChoiceField, choices=list(CancelMode))


class Limits(s.Serializer[Any]):
    start_timeout = nullable(s.FloatField)
    execution_timeout = s.FloatField()


class Failure(s.Serializer[Any]):
    type = s.CharField()
    code = s.ChoiceField(choices=list(FailureCode))
    message = s.CharField()
    param = nullable(s.CharField)
    retryable = s.BooleanField()


class TaskFailure(Failure):
    attempt = nullable(s.IntegerField)
    worker_id = nullable(s.CharField)


class Artifact(s.Serializer[Any]):
    artifact_id = s.UUIDField()
    content_type = s.CharField()
    size_bytes = s.IntegerField()
    sha256 = s.CharField()
    url = s.CharField()
    expires_at = nullable(s.DateTimeField)


# "self" cannot be written as a class attribute that DRF finds by name without confusing every reader of the class.
Urls = type("Urls", (s.Serializer,), {name: s.CharField() for name in ("self", "cancel", "events")})


class Task(s.Serializer[Any]):
    task_id = s.UUIDField()
    task_type = s.ChoiceField(choices=TaskType.values)
    model = s.CharField()
    status = s.ChoiceField(choices=list(Status))
    phase = nullable(s.ChoiceField, choices=list(Phase))
    priority = s.IntegerField()
    input = s.DictField()
    parameters = s.DictField()
    result = nullable(s.DictField)
    artifacts = Artifact(many=True)
    error = TaskFailure(allow_null=True)
    progress = Progress(allow_null=True)
    attempt = s.IntegerField()
    max_attempts = s.IntegerField()
    worker_id = nullable(s.CharField)
    timings = Timings()
    usage = Usage()
    cancellation = Cancellation(allow_null=True)
    limits = Limits()
    webhook_url = nullable(s.CharField)
    metadata = s.DictField(child=s.CharField())
    batch_id = nullable(s.UUIDField)
    retry_of = nullable(s.UUIDField)
    organization = s.CharField()
    user = nullable(s.CharField)
    created_at = s.DateTimeField()
    not_before = nullable(s.DateTimeField)
    dispatched_at = nullable(s.DateTimeField)
    started_at = nullable(s.DateTimeField)
    completed_at = nullable(s.DateTimeField)
    urls = Urls()


class TaskPage(s.Serializer[Any]):
    results = Task(many=True)
    next = nullable(s.CharField)
    previous = nullable(s.CharField)


class Attempt(s.Serializer[Any]):
    attempt_id = s.UUIDField()
    number = s.IntegerField()
    worker_id = s.CharField()
    started_at = s.DateTimeField()
    ended_at = nullable(s.DateTimeField)
    outcome = nullable(s.ChoiceField, choices=list(AttemptOutcome))
    error = Failure(allow_null=True)
    model_load_seconds = nullable(s.FloatField)
    inference_seconds = nullable(s.FloatField)
    relief = s.ListField(
        child=s.ChoiceField(choices=["free_cache", "smaller_batch", "smaller_pieces", "evict_idle"]),
        help_text="What was done on the device when memory ran out, in this order.",
    )


class AttemptList(s.Serializer[Any]):
    results = Attempt(many=True)
