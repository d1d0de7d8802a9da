"""What the OpenAPI document says of the calls that watch and steer workers."""

from __future__ import annotations

from tasks_app.api.documents.base import OPERATIONS, call, errors
from tasks_app.api.shapes import workers as shapes

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
read_worker = call(
    operation_id="read_worker",
    tags=[OPERATIONS],
    summary="One worker",
    responses={200: shapes.WorkerStats, **errors(400, 404)},
)
steer_worker = call(
    operation_id="steer_worker",
    tags=[OPERATIONS],
    summary="Pause, drain, retire or resume a worker",
    description="What runs goes on; what was on its way goes back to the queue. `active` also ends a quarantine.",
    request=shapes.WorkerOrder,
    responses={200: shapes.WorkerStats, **errors(400, 403, 404, 415)},
)
