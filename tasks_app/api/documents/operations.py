"""What the OpenAPI document says of the calls that watch and steer."""

from __future__ import annotations

from tasks_app.api.documents.base import OPERATIONS, call, errors, query
from tasks_app.api.shapes import operations as shapes

metrics = call(
    operation_id="read_metrics",
    tags=[OPERATIONS],
    summary="How many tasks, how well, how fast",
    parameters=[query("window", enum=["1h", "24h", "7d", "all"], default="all")],
    responses={200: shapes.Metrics, **errors(400)},
)
