"""What the OpenAPI document says of the call that tells what tasks have cost."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from tasks_app.api.documents.base import OPERATIONS, call, errors, query
from tasks_app.api.shapes import usage as shapes
from tasks_app.usage import GROUPS
from workers_app.models import TaskType

read_usage = call(
    operation_id="read_usage",
    tags=[OPERATIONS],
    summary="What tasks have cost",
    description="Of tasks that ended, deleted ones too. CSV with `Accept: text/csv` or `format=csv`.",
    parameters=[
        query("from", description="A day or time of UTC; 30 days before `to` if left out."),
        query("to", description="Up to before this day or time; now if left out."),
        query("group_by", description=f"Some of {', '.join(GROUPS)}, with commas; day,model if left out, empty: none."),
        query("organization", description="Its slug; staff sees all of them."),
        query("user"),
        query("api_key", OpenApiTypes.UUID),
        query("task_type", enum=TaskType.values),
        query("model"),
        query("format", enum=["json", "csv"]),
    ],
    responses={
        (200, "application/json"): shapes.UsageReport,
        (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The results, one a line, with a line of names."),
        **errors(400, 404, 406),
    },
)
