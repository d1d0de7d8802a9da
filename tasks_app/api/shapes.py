"""The answers' shapes for the OpenAPI document. Never used to render; a test compares them with `render`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.retries import FailureCode
from tasks_app.states import AttemptOutcome, CancelMode, Phase, Status
from workers_app.models import TaskType


def _null(field: type[s.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    return field(allow_null=True, **options)


class Progress(s.Serializer[Any]):
    fraction = s.FloatField()
    step = s.IntegerField()
    total_steps = s.IntegerField()


class Timings(s.Serializer[Any]):
    queue_seconds = _null(s.FloatField)
    model_load_seconds = _null(s.FloatField)
    inference_seconds = _null(s.FloatField)
    total_seconds = _null(s.FloatField)


class Usage(s.Serializer[Any]):
    gpu_seconds = s.FloatField()
    input_tokens = _null(s.IntegerField)
    output_tokens = _null(s.IntegerField)
    images = _null(s.IntegerField)
    audio_seconds = _null(s.FloatField)


class Cancellation(s.Serializer[Any]):
    requested_at = _null(s.DateTimeField)
    acknowledged_at = _null(s.DateTimeField)
    stopped_at = _null(s.DateTimeField)
    mode = _null(s.ChoiceField, choices=list(CancelMode))


class Limits(s.Serializer[Any]):
    start_timeout = _null(s.FloatField)
    execution_timeout = s.FloatField()


class Failure(s.Serializer[Any]):
    type = s.CharField()
    code = s.ChoiceField(choices=list(FailureCode))
    message = s.CharField()
    param = _null(s.CharField)
    retryable = s.BooleanField()


class TaskFailure(Failure):
    attempt = _null(s.IntegerField)
    worker_id = _null(s.CharField)


class Artifact(s.Serializer[Any]):
    artifact_id = s.UUIDField()
    content_type = s.CharField()
    size_bytes = s.IntegerField()
    sha256 = s.CharField()
    url = s.CharField()
    expires_at = _null(s.DateTimeField)


# "self" cannot be written as a class attribute that DRF finds by name without confusing every reader of the class.
Urls = type("Urls", (s.Serializer,), {name: s.CharField() for name in ("self", "cancel", "events")})


class Task(s.Serializer[Any]):
    task_id = s.UUIDField()
    task_type = s.ChoiceField(choices=TaskType.values)
    model = s.CharField()
    status = s.ChoiceField(choices=list(Status))
    phase = _null(s.ChoiceField, choices=list(Phase))
    priority = s.IntegerField()
    input = s.DictField()
    parameters = s.DictField()
    result = _null(s.DictField)
    artifacts = Artifact(many=True)
    error = TaskFailure(allow_null=True)
    progress = Progress(allow_null=True)
    attempt = s.IntegerField()
    max_attempts = s.IntegerField()
    worker_id = _null(s.CharField)
    timings = Timings()
    usage = Usage()
    cancellation = Cancellation(allow_null=True)
    limits = Limits()
    webhook_url = _null(s.CharField)
    metadata = s.DictField(child=s.CharField())
    batch_id = _null(s.UUIDField)
    retry_of = _null(s.UUIDField)
    organization = s.CharField()
    user = _null(s.CharField)
    created_at = s.DateTimeField()
    not_before = _null(s.DateTimeField)
    dispatched_at = _null(s.DateTimeField)
    started_at = _null(s.DateTimeField)
    completed_at = _null(s.DateTimeField)
    urls = Urls()


class TaskPage(s.Serializer[Any]):
    results = Task(many=True)
    next = _null(s.CharField)
    previous = _null(s.CharField)


class Attempt(s.Serializer[Any]):
    attempt_id = s.UUIDField()
    number = s.IntegerField()
    worker_id = s.CharField()
    started_at = s.DateTimeField()
    ended_at = _null(s.DateTimeField)
    outcome = _null(s.ChoiceField, choices=list(AttemptOutcome))
    error = Failure(allow_null=True)
    model_load_seconds = _null(s.FloatField)
    inference_seconds = _null(s.FloatField)


class AttemptList(s.Serializer[Any]):
    results = Attempt(many=True)


class Model(s.Serializer[Any]):
    name = s.CharField()
    task_type = s.ChoiceField(choices=TaskType.values)
    runner = s.CharField()
    description = s.CharField()
    is_default = s.BooleanField()
    limits = s.DictField()
    defaults = s.DictField()


class ModelList(s.Serializer[Any]):
    results = Model(many=True)


class Percentiles(s.Serializer[Any]):
    p50 = _null(s.FloatField)
    p95 = _null(s.FloatField)
    p99 = _null(s.FloatField)


class Metrics(s.Serializer[Any]):
    window = s.CharField()
    total_tasks = s.IntegerField()
    pending_tasks = s.IntegerField(help_text="Not started yet: pending or dispatched.")
    running_tasks = s.IntegerField(help_text="Running or being cancelled.")
    completed_tasks = s.IntegerField()
    failed_tasks = s.IntegerField()
    cancelled_tasks = s.IntegerField()
    expired_tasks = s.IntegerField()
    success_rate = s.FloatField(help_text="completed / (completed + failed) in percent; 0 while nothing has ended.")
    average_execution_time = s.FloatField(help_text="Seconds in execution of completed tasks; no queue wait.")
    by_task_type = s.DictField(child=s.IntegerField())
    by_model = s.DictField(child=s.IntegerField())
    queue_wait_seconds = Percentiles()
    throughput_per_minute = s.FloatField(help_text="Completed per minute over the last five minutes.")


class QueueLength(s.Serializer[Any]):
    length = s.IntegerField()
    oldest_seconds = s.FloatField()


class QueueInfo(s.Serializer[Any]):
    gpu_queue = QueueLength()


class SchedulerState(s.Serializer[Any]):
    leader = s.BooleanField()


class WorkersHealth(s.Serializer[Any]):
    status = s.ChoiceField(choices=["healthy", "degraded", "down"])
    total_workers = s.IntegerField()
    online_workers = s.IntegerField()
    late_workers = s.IntegerField()
    lost_workers = s.IntegerField()
    paused_workers = s.IntegerField()
    queue_info = QueueInfo()
    scheduler = SchedulerState()


class LoadedModel(s.Serializer[Any]):
    name = s.CharField()
    memory_mib = _null(s.IntegerField)


class Gpu(s.Serializer[Any]):
    name = _null(s.CharField)
    type = _null(s.CharField)
    memory_total_mib = _null(s.IntegerField)
    memory_used_mib = _null(s.IntegerField)
    utilization = _null(s.FloatField)
    temperature_c = _null(s.FloatField)
    power_w = _null(s.FloatField)
    loaded_models = LoadedModel(many=True)


class WorkerStats(s.Serializer[Any]):
    name = s.CharField()
    status = s.ChoiceField(choices=["online", "late", "lost", "stopped"])
    state = s.ChoiceField(choices=["active", "draining", "paused"])
    stopping = s.BooleanField()
    engine_state = s.CharField()
    engine_restarts = s.IntegerField()
    slots = s.IntegerField()
    active_tasks = s.IntegerField(help_text="Running or being cancelled.")
    reserved_tasks = s.IntegerField(help_text="Dispatched, not claimed yet.")
    scheduled_tasks = s.IntegerField(help_text="Always 0: what is to run later waits in the queue, not on a worker.")
    total_load = s.IntegerField()
    kinds = s.ListField(child=s.CharField())
    allowed_models = s.ListField(child=s.CharField())
    gpus = Gpu(many=True)
    versions = s.DictField(child=s.CharField())
    started_at = s.DateTimeField()
    last_heartbeat = s.DateTimeField()


class WorkersStats(s.Serializer[Any]):
    total_workers = s.IntegerField()
    online_workers = s.IntegerField()
    workers = s.DictField(child=WorkerStats())
    queue_info = QueueInfo()


class WorkerList(s.Serializer[Any]):
    results = WorkerStats(many=True)


class ErrorObject(s.Serializer[Any]):
    type = s.CharField()
    code = s.CharField()
    message = s.CharField()
    param = _null(s.CharField)
    retryable = s.BooleanField()
    request_id = _null(s.CharField)


class Error(s.Serializer[Any]):
    error = ErrorObject()
    detail = s.CharField()
