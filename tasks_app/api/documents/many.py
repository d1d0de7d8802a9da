"""What the OpenAPI document says of the calls on many tasks at once."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field

from tasks_app.api.documents.base import DESCRIPTIONS, Decorator, call, errors
from tasks_app.api.documents.tasks import IDEMPOTENCY_KEY, REUSED, SUBMIT
from tasks_app.api.shapes import many as shapes
from tasks_app.schemas.batch import BatchRequest, TaskBody
from tasks_app.schemas.bulk import BulkPriorityRequest, BulkRequest

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
retry_batch = call(
    operation_id="retry_batch",
    tags=[MANY],
    summary="A new batch of what failed or expired in this one",
    description="What was retried before is skipped, so asking twice does not double the work.",
    parameters=[BATCH_ID, IDEMPOTENCY_KEY],
    request=None,
    responses={200: shapes.RetriedBatch, **errors(400, 404), 409: REUSED},
)
batch_results = call(
    operation_id="batch_results",
    tags=[MANY],
    summary="The tasks of a batch that have ended, as JSON lines",
    description="Each line is a task as `GET /tasks/{task_id}` shows it, in the order of the request.",
    parameters=[BATCH_ID],
    responses={(200, "application/x-ndjson"): OpenApiTypes.STR, **errors(400, 404)},
)
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
bulk_delete = call(
    operation_id="bulk_delete",
    tags=[MANY],
    summary="Delete tasks that have ended, by id or filter",
    description="Their files go too; what they cost stays on record. What has not ended is skipped.",
    request=BulkRequest,
    responses={200: shapes.BulkDeleted, **errors(400, 413, 415)},
)
bulk_priority = call(
    operation_id="bulk_priority",
    tags=[MANY],
    summary="Give waiting tasks another priority, by id or filter",
    request=BulkPriorityRequest,
    responses={200: shapes.BulkMoved, **errors(400, 413, 415)},
)
