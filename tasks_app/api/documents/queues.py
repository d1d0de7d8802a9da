"""What the OpenAPI document says of the calls on queues and pauses."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter

from tasks_app.api.documents.base import OPERATIONS, Decorator, call, errors
from tasks_app.api.shapes import waiting as shapes
from tasks_app.models import PauseKind
from tasks_app.schemas.pause import PauseRequest

list_queues = call(
    operation_id="list_queues",
    tags=[OPERATIONS],
    summary="The queues: how long, how old, and what is paused",
    responses={200: shapes.QueueList, **errors(400)},
)


def _name(kind: PauseKind) -> list[OpenApiParameter]:
    return [OpenApiParameter("name", str, OpenApiParameter.PATH, description=f"Of the {kind.label.lower()}.")]


def pause(kind: PauseKind) -> Decorator:
    return call(
        operation_id=f"pause_{kind}",
        tags=[OPERATIONS],
        summary=f"Start no more tasks of this {kind.label.lower()} for now",
        parameters=_name(kind),
        request=PauseRequest,
        responses={200: shapes.Pause, **errors(400, 403, 404, 415)},
    )


def resume(kind: PauseKind) -> Decorator:
    return call(
        operation_id=f"resume_{kind}",
        tags=[OPERATIONS],
        summary=f"Let the tasks of this {kind.label.lower()} start again",
        parameters=_name(kind),
        request=None,
        responses={204: None, **errors(400, 403, 404)},
    )
