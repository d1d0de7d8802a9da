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
workers_health = call(
    operation_id="read_workers_health",
    tags=[OPERATIONS],
    summary="Are there workers, and do they live?",
    responses={200: shapes.WorkersHealth, **errors(400)},
)
workers_stats = call(
    operation_id="read_workers_stats",
    tags=[OPERATIONS],
    summary="What each worker has to do, and its device",
    responses={200: shapes.WorkersStats, **errors(400)},
)
list_workers = call(
    operation_id="list_workers",
    tags=[OPERATIONS],
    summary="The workers",
    responses={200: shapes.WorkerList, **errors(400)},
)
