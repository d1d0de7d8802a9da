"""What the OpenAPI document says of the calls for webhooks."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from tasks_app.api.documents.base import bounded, call, errors, query
from tasks_app.api.shapes import webhooks as shapes
from tasks_app.models import DeliveryState

WEBHOOKS = "webhooks"

list_deliveries = call(
    operation_id="list_webhook_deliveries",
    tags=[WEBHOOKS],
    summary="What was told to the tasks' webhook addresses, newest first",
    parameters=[
        query("task_id", OpenApiTypes.UUID),
        query("state", enum=DeliveryState.values),
        bounded("limit", 1, 200, "Deliveries per page; 50 if left out."),
        query("before", OpenApiTypes.UUID, "Only deliveries older than this one; `next` has it."),
        query("after", OpenApiTypes.UUID, "Only deliveries newer than this one; `previous` has it."),
    ],
    responses={200: shapes.DeliveryPage, **errors(400)},
)
resend_delivery = call(
    operation_id="resend_webhook_delivery",
    tags=[WEBHOOKS],
    summary="Send a delivery again, now and with all its retries",
    parameters=[OpenApiParameter("delivery_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
    request=None,
    responses={202: OpenApiResponse(shapes.Delivery, "It is due."), **errors(400, 404)},
)
read_secret = call(
    operation_id="read_webhook_secret",
    tags=[WEBHOOKS],
    summary="The secrets that sign your organization's webhooks",
    responses={200: shapes.SecretList, **errors(400)},
)
rotate_secret = call(
    operation_id="rotate_webhook_secret",
    tags=[WEBHOOKS],
    summary="Make a new secret; the present one stays valid for 24 hours",
    request=None,
    responses={201: shapes.SecretList, **errors(400)},
)
