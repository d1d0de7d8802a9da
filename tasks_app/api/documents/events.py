"""What the OpenAPI document says of following a task."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from tasks_app.api.documents.base import TASKS, call, errors, query
from tasks_app.api.documents.tasks import TASK_ID
from tasks_app.api.shapes.events import TaskEvent

AFTER = {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9})?$"}

task_events = call(
    operation_id="task_events",
    tags=[TASKS],
    summary="Follow a task",
    description=(
        "Server-sent events, from the beginning or from behind a position, until the task has ended. The last event's "
        "data is the whole task. After `gap`, which tells how much live output was missed, comes `snapshot` with "
        "the whole task. A comment comes after 15 seconds of silence."
    ),
    parameters=[
        TASK_ID,
        query("after", AFTER, "The `id` of the last event that is known."),
        OpenApiParameter("Last-Event-ID", AFTER, OpenApiParameter.HEADER, description="The same; it goes first."),
    ],
    responses={
        (200, "text/event-stream"): OpenApiResponse(TaskEvent, "`data` of each event."),
        204: OpenApiResponse(description="The task has ended, and its last event is known."),
        **errors(400, 404),
    },
)
