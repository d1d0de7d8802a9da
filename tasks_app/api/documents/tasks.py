"""What the OpenAPI document says of the calls on tasks."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema_field

from tasks_app.api.documents.base import TASKS, Decorator, bounded, call, errors, query
from tasks_app.api.shapes import tasks as shapes
from tasks_app.api.shapes.base import Error
from tasks_app.api.shapes.waiting import Explanation
from tasks_app.idempotency import KEPT_HOURS, MAX_KEY
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TaskRequest
from tasks_app.schemas.strict import Choice, Strict
from tasks_app.states import CELERY_WORDS, Status
from workers_app.models import TaskType


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


TASK_ID = OpenApiParameter("task_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
    OpenApiParameter.HEADER,
    description=f"Your name for this request, good for {KEPT_HOURS} hours: sent again with it, it makes nothing again.",
)
REUSED = OpenApiResponse(Error, "The Idempotency-Key was used with another request.")
REPLAYED = OpenApiResponse(shapes.Task, "It had been made before, with the same Idempotency-Key.")
WAIT = bounded("wait", 0, 30, "Hold the answer for up to so many seconds, until the task changes.")
UNTIL = query(
    "until", description="What `wait` waits for: any change (the default), or the end.", enum=["change", "end"]
)
FILTERS = [
    query("status", description="Repeatable; Celery's words too.", enum=[*Status, *CELERY_WORDS], many=True),
    query("task_type", enum=TaskType.values),
    query("model"),
    query("worker_id"),
    query("batch_id", OpenApiTypes.UUID),
    query("user"),
    query("created_after", OpenApiTypes.DATETIME),
    query("created_before", OpenApiTypes.DATETIME),
    query("q", description="Beginning of an id, or part of the input's text, among the newest 10,000 tasks."),
    bounded("limit", 1, 200, "Tasks per page; 50 if left out."),
    query("before", OpenApiTypes.UUID, "Only tasks older than this one; `next` has it."),
    query("after", OpenApiTypes.UUID, "Only tasks newer than this one; `previous` has it."),
]

submit = call(
    operation_id="submit_task",
    tags=[TASKS],
    summary="Submit a task",
    description="With `Accept: text/event-stream` the answer is what `GET /tasks/{task_id}/events` has: its events.",
    parameters=[IDEMPOTENCY_KEY],
    request=SUBMIT,
    responses={201: shapes.Task, 200: REPLAYED, **errors(400, 404, 413, 415, 422), 409: REUSED},
)
list_tasks = call(
    operation_id="list_tasks",
    tags=[TASKS],
    summary="List tasks, newest first",
    parameters=FILTERS,
    responses={200: shapes.TaskPage, **errors(400)},
)
read_task = call(
    operation_id="read_task",
    tags=[TASKS],
    summary="Read a task",
    parameters=[TASK_ID, WAIT, UNTIL, OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)],
    responses={200: shapes.Task, 304: OpenApiResponse(description="Not changed."), **errors(400, 404)},
)
delete_task = call(
    operation_id="delete_task",
    tags=[TASKS],
    summary="Delete a task and its artifacts",
    parameters=[TASK_ID, query("force", bool, "Cancel it first if it is active.")],
    responses={204: None, **errors(400, 404, 409)},
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
            **errors(400, 404, 409),
        },
    )


cancel_task = _cancel("cancel_task")
cancel_task_by_post = _cancel("cancel_task_by_post")
retry_task = call(
    operation_id="retry_task",
    tags=[TASKS],
    summary="Try a task that has ended again, as a new task",
    parameters=[TASK_ID, IDEMPOTENCY_KEY],
    request=None,
    responses={201: shapes.Task, 200: REPLAYED, **errors(400, 404, 409, 422)},
)
explain_task = call(
    operation_id="explain_task",
    tags=[TASKS],
    summary="Why is it not running yet, and when will it?",
    parameters=[TASK_ID],
    responses={200: Explanation, **errors(400, 404)},
)
list_attempts = call(
    operation_id="list_attempts",
    tags=[TASKS],
    summary="The attempts of a task",
    parameters=[TASK_ID],
    responses={200: shapes.AttemptList, **errors(400, 404)},
)
