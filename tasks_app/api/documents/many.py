"""What the OpenAPI document says of the calls on many tasks at once."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field

from tasks_app.api.documents.base import DESCRIPTIONS, Decorator, call, errors
from tasks_app.api.documents.tasks import IDEMPOTENCY_KEY, REUSED, SUBMIT
from tasks_app.api.shapes import many as shapes
from tasks_app.schemas.batch import BatchRequest, TaskBody
from tasks_app.schemas.bulk import BulkRequest

MANY = "many tasks at once"
BATCH_ID = OpenApiParameter("batch_id", OpenApiTypes.UUID, OpenApiParameter.PATH)

# The body of a task in a batch is described as that of a single submit.
extend_schema_field(SUBMIT)(TaskBody)


def _batch_errors(*codes: int) -> dict[int, OpenApiResponse]:
    return {**errors(*codes), 400: OpenApiResponse(shapes.BatchError, DESCRIPTIONS[400])}


submit_batch = call(
    operation_id="submit_batch",
    tags=[MANY],
    summary="Submit up to 10,000 tasks: all of them, or none",
    parameters=[IDEMPOTENCY_KEY],
    request=BatchRequest,
    responses={
        201: shapes.SubmittedBatch,
        200: OpenApiResponse(shapes.SubmittedBatch, "It had been submitted before, with the same Idempotency-Key."),
        **_batch_errors(404, 413, 415),
        409: REUSED,
    },
)
read_batch = call(
    operation_id="read_batch",
    tags=[MANY],
    summary="How far a batch is",
    parameters=[BATCH_ID],
    responses={200: shapes.Batch, **errors(400, 404)},
)


def _cancel(operation_id: str) -> Decorator:
    return call(
        operation_id=operation_id,
        tags=[MANY],
        summary="Cancel all of a batch that has not ended",
        parameters=[BATCH_ID],
        request=None,
        responses={
            200: OpenApiResponse(shapes.CancelledBatch, "All of it has ended."),
            202: OpenApiResponse(shapes.CancelledBatch, "Some of it runs, and is being stopped."),
            **errors(400, 404),
        },
    )


cancel_batch = _cancel("cancel_batch")
cancel_batch_by_post = _cancel("cancel_batch_by_post")
bulk_cancel = call(
    operation_id="bulk_cancel",
    tags=[MANY],
    summary="Cancel tasks by id or filter",
    request=BulkRequest,
    responses={200: shapes.BulkCancelled, **errors(400, 413, 415)},
)
bulk_retry = call(
    operation_id="bulk_retry",
    tags=[MANY],
    summary="Try tasks that have ended again, by id or filter",
    description="What was retried before is skipped. A filter without `status` means tasks that failed or expired.",
    request=BulkRequest,
    responses={200: shapes.BulkRetried, **errors(400, 413, 415)},
)
