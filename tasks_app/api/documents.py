"""What the OpenAPI document says of each call. Decorators for the views; no behaviour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_field,
    inline_serializer,
)
from rest_framework import serializers

from tasks_app.api import shapes
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TaskRequest
from tasks_app.schemas.strict import Choice, Strict
from tasks_app.states import CELERY_WORDS, Status
from workers_app.models import TaskType

View = TypeVar("View", bound=Callable[..., Any])
TASKS, RESULTS, OPERATIONS = "tasks", "artifacts and models", "operations"
BINARY = {(kind, "*/*"): OpenApiTypes.BINARY for kind in (200, 206)}


class Decorator(Protocol):
    def __call__(self, view: View, /) -> View: ...


def call(**options: Any) -> Decorator:
    """`extend_schema`, typed."""
    decorator: Decorator = extend_schema(**options)
    return decorator


def _constant(task_type: str) -> Choice:
    """A class of its own, because a serializer copies its fields and forgets what was said of one."""
    kind: type[Choice] = extend_schema_field({"type": "string", "const": task_type})(type("TaskTypeIs", (Choice,), {}))
    return kind([task_type])


def _requests() -> dict[str, type[Strict]]:
    """The body of a submit for each task type, with that type's input and parameters."""
    requests = {}
    for task_type, schema in ((str(key), schema) for key, schema in SCHEMAS.items()):
        camel = "".join(word.capitalize() for word in task_type.split("_"))
        fields = {
            "task_type": _constant(task_type),
            "input": type(schema.input)(),
            "parameters": type(schema.parameters)(required=False),
        }
        requests[task_type] = type(f"{camel}Task", (TaskRequest,), fields)
    return requests


SUBMIT = PolymorphicProxySerializer("SubmitTask", _requests(), resource_type_field_name="task_type")


def _errors(*codes: int) -> dict[int, OpenApiResponse]:
    """Every call may be refused for its credentials, and meet a database that is away."""
    return {code: OpenApiResponse(shapes.Error, DESCRIPTIONS[code]) for code in (*codes, 401, 503)}


DESCRIPTIONS = {
    400: "Something in the request is wrong; `param` names it.",
    401: "No key, or none that is valid.",
    404: "There is no such thing, or it is another organization's.",
    409: "The task's state does not allow it.",
    413: "The body is too large.",
    415: "The body is not what this call takes.",
    416: "The range lies outside the file.",
    503: "The database is away; `Retry-After` says when to try again.",
}


def _query(name: str, kind: Any = str, description: str = "", **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description, **options)


def _bounded(name: str, low: int, high: int, description: str) -> OpenApiParameter:
    return _query(name, {"type": "integer", "minimum": low, "maximum": high}, description)


TASK_ID = OpenApiParameter("task_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
ARTIFACT_ID = OpenApiParameter("artifact_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
WAIT = _bounded("wait", 0, 30, "Hold the answer for up to so many seconds, until the task changes.")
UNTIL = _query(
    "until", description="What `wait` waits for: any change (the default), or the end.", enum=["change", "end"]
)
FILTERS = [
    _query("status", description="Repeatable; Celery's words too.", enum=[*Status, *CELERY_WORDS], many=True),
    _query("task_type", enum=TaskType.values),
    _query("model"),
    _query("worker_id"),
    _query("batch_id", OpenApiTypes.UUID),
    _query("user"),
    _query("created_after", OpenApiTypes.DATETIME),
    _query("created_before", OpenApiTypes.DATETIME),
    _query("q", description="Beginning of an id, or part of the input's text, among the newest 10,000 tasks."),
    _bounded("limit", 1, 200, "Tasks per page; 50 if left out."),
    _query("before", OpenApiTypes.UUID, "Only tasks older than this one; `next` has it."),
    _query("after", OpenApiTypes.UUID, "Only tasks newer than this one; `previous` has it."),
]

submit = call(
    operation_id="submit_task",
    tags=[TASKS],
    summary="Submit a task",
    request=SUBMIT,
    responses={201: shapes.Task, **_errors(400, 404, 413, 415)},
)
list_tasks = call(
    operation_id="list_tasks",
    tags=[TASKS],
    summary="List tasks, newest first",
    parameters=FILTERS,
    responses={200: shapes.TaskPage, **_errors(400)},
)
read_task = call(
    operation_id="read_task",
    tags=[TASKS],
    summary="Read a task",
    parameters=[TASK_ID, WAIT, UNTIL, OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)],
    responses={200: shapes.Task, 304: OpenApiResponse(description="Not changed."), **_errors(400, 404)},
)
delete_task = call(
    operation_id="delete_task",
    tags=[TASKS],
    summary="Delete a task and its artifacts",
    parameters=[TASK_ID, _query("force", bool, "Cancel it first if it is active.")],
    responses={204: None, **_errors(400, 404, 409)},
)


def _cancel(operation_id: str) -> Decorator:
    return call(
        operation_id=operation_id,
        tags=[TASKS],
        summary="Cancel a task",
        parameters=[TASK_ID, WAIT],
        request=None,
        responses={
            200: OpenApiResponse(shapes.Task, "It is cancelled."),
            202: OpenApiResponse(shapes.Task, "It runs, and is being stopped."),
            **_errors(400, 404, 409),
        },
    )


cancel_task = _cancel("cancel_task")
cancel_task_by_post = _cancel("cancel_task_by_post")
retry_task = call(
    operation_id="retry_task",
    tags=[TASKS],
    summary="Try a task that has ended again, as a new task",
    parameters=[TASK_ID],
    request=None,
    responses={201: shapes.Task, **_errors(400, 404, 409)},
)
list_attempts = call(
    operation_id="list_attempts",
    tags=[TASKS],
    summary="The attempts of a task",
    parameters=[TASK_ID],
    responses={200: shapes.AttemptList, **_errors(400, 404)},
)
metrics = call(
    operation_id="read_metrics",
    tags=[OPERATIONS],
    summary="How many tasks, how well, how fast",
    parameters=[_query("window", enum=["1h", "24h", "7d", "all"], default="all")],
    responses={200: shapes.Metrics, **_errors(400)},
)
workers_health = call(
    operation_id="read_workers_health",
    tags=[OPERATIONS],
    summary="Are there workers, and do they live?",
    responses={200: shapes.WorkersHealth, **_errors(400)},
)
workers_stats = call(
    operation_id="read_workers_stats",
    tags=[OPERATIONS],
    summary="What each worker has to do, and its device",
    responses={200: shapes.WorkersStats, **_errors(400)},
)
list_workers = call(
    operation_id="list_workers",
    tags=[OPERATIONS],
    summary="The workers",
    responses={200: shapes.WorkerList, **_errors(400)},
)
list_models = call(
    operation_id="list_models",
    tags=[RESULTS],
    summary="The models that can be asked for",
    parameters=[_query("task_type", enum=TaskType.values)],
    responses={200: shapes.ModelList, **_errors(400)},
)
read_artifact = call(
    operation_id="read_artifact",
    tags=[RESULTS],
    summary="Download a file",
    parameters=[ARTIFACT_ID, OpenApiParameter("Range", str, OpenApiParameter.HEADER)],
    responses={
        **BINARY,
        304: OpenApiResponse(description="Not changed."),
        416: OpenApiResponse(description=DESCRIPTIONS[416]),
        **_errors(404),
    },
)
store_artifact = call(
    operation_id="store_artifact",
    tags=[RESULTS],
    summary="Upload an image for later tasks",
    request={
        "multipart/form-data": inline_serializer("ImageUpload", {"file": serializers.FileField()}),
        "image/png": OpenApiTypes.BINARY,
        "image/jpeg": OpenApiTypes.BINARY,
        "image/webp": OpenApiTypes.BINARY,
        "image/gif": OpenApiTypes.BINARY,
    },
    responses={201: shapes.Artifact, **_errors(400, 413, 415)},
)
