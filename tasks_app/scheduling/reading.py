"""Rows into the policy's plain values: what waits, what is on workers, what has left them. Decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from uuid import UUID

from tasks_app.scheduling.memory import Ended, Rules, Work
from tasks_app.scheduling.snapshot import SHOWN, Loaded, ModelKey, Paused, Queue, QueueKey, WaitingTask, WorkerView
from tasks_app.sql import returning
from workers_app.capacity import per_worker
from workers_app.models import Worker

# First the queues there are, each found from the one before it by one probe of the index task_queues, then the
# beginning of each. However much waits, this touches only what is shown.
WAITING = """
WITH RECURSIVE queue AS (
    (SELECT organization_id, coalesce(user_id, 0) AS party, task_type, model, priority
       FROM tasks_app_task WHERE status = 'pending'
      ORDER BY organization_id, coalesce(user_id, 0), task_type, model, priority LIMIT 1)
    UNION ALL
    SELECT following.* FROM queue q CROSS JOIN LATERAL (
        SELECT organization_id, coalesce(user_id, 0), task_type, model, priority
          FROM tasks_app_task
         WHERE status = 'pending' AND (organization_id, coalesce(user_id, 0), task_type, model, priority)
               > (q.organization_id, q.party, q.task_type, q.model, q.priority)
         ORDER BY organization_id, coalesce(user_id, 0), task_type, model, priority LIMIT 1) following),
paused AS (SELECT kind, name FROM tasks_app_pause WHERE until IS NULL OR until > now())
SELECT q.organization_id, q.party, q.task_type, q.model, q.priority,
       t.id, t.avoid_worker, t.gpu_seconds AS spent, extract(epoch FROM t.created_at)::float8 AS since,
       extract(epoch FROM greatest(t.created_at, t.not_before))::float8 AS ready,
       o.weight, o.concurrency_limit AS organization_limit,
       coalesce(m.enabled, false) AS enabled, coalesce(nullif(m.memory_mib, 0), m.measured_mib, 0) AS memory_mib,
       m.concurrency_limit AS model_limit, m.max_per_worker, m.runner,
       CASE WHEN jsonb_typeof(m.options->'max_concurrent') = 'number'  -- whatever somebody typed there
            THEN least(1000, greatest(1, (m.options->>'max_concurrent')::float8))::int END AS max_concurrent,
       EXISTS (SELECT FROM paused WHERE kind = 'queue' AND name = q.task_type) AS queue_paused,
       EXISTS (SELECT FROM paused WHERE kind = 'model' AND name = q.model) AS model_paused,
       EXISTS (SELECT FROM paused WHERE kind = 'organization' AND name = o.slug) AS organization_paused,
       depth.shown
  FROM queue q
 CROSS JOIN (SELECT %s / greatest(count(*), 1) + 1 AS shown FROM queue) depth
  JOIN tenants_app_organization o ON o.id = q.organization_id
  LEFT JOIN workers_app_model m ON m.task_type = q.task_type AND m.name = q.model
 CROSS JOIN LATERAL (
       SELECT id, avoid_worker, gpu_seconds, created_at, not_before
         FROM tasks_app_task
        WHERE status = 'pending' AND organization_id = q.organization_id AND coalesce(user_id, 0) = q.party
          AND task_type = q.task_type AND model = q.model AND priority = q.priority
          AND (not_before IS NULL OR not_before <= now())
        ORDER BY id LIMIT depth.shown) t
"""

ON_WORKERS = """
SELECT t.id, t.organization_id, coalesce(t.user_id, 0), t.task_type, t.model, t.worker, t.gpu_seconds,
       CASE WHEN t.status <> 'dispatched' THEN extract(epoch FROM t.started_at)::float8 END, o.weight
  FROM tasks_app_task t JOIN tenants_app_organization o ON o.id = t.organization_id
 WHERE t.status IN ('cancelling', 'dispatched', 'running')
"""

ENDED = """
SELECT id, status, gpu_seconds, model_load_seconds, inference_seconds FROM tasks_app_task WHERE id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`cut` are the queues that go on behind what is shown of them."""

    queues: list[Queue]
    cut: frozenset[QueueKey]
    rules: Rules


def read_waiting(free_slots: int) -> Waiting:
    rows = returning(WAITING, [max(2 * free_slots, SHOWN)])
    key = attrgetter("organization_id", "party", "task_type", "model", "priority")
    queues: dict[tuple[Any, ...], list[WaitingTask]] = {}
    for row in sorted(rows, key=attrgetter("id")):  # the ids are UUIDv7: the older sorts first
        queues.setdefault(key(row), []).append(_task(row))
    cut = frozenset(queue[0].queue_key for queue in queues.values() if len(queue) >= rows[0].shown)
    return Waiting(list(queues.values()), cut, _rules(rows))


def read_on_workers() -> tuple[list[Work], dict[UUID, float]]:
    """And the weights of the organizations that have something there."""
    rows = returning(ON_WORKERS, [])
    return [Work(*row[:8]) for row in rows], {row.organization_id: row.weight for row in rows}


def read_ended(task_ids: Sequence[UUID]) -> dict[UUID, Ended]:
    """What became of tasks that left their workers; those that were deleted are missing."""
    return {row.id: _ended(row) for row in returning(ENDED, [list(task_ids)])}


def view_of(worker: Worker, taken: Counter[str]) -> WorkerView:
    """With the room that the tasks on it leave."""
    return WorkerView(
        name=worker.name,
        kinds=frozenset(worker.kinds),
        slots=worker.slots,
        free_slots=max(0, worker.slots - taken[worker.name] - worker.abandoned),
        allowed_models=frozenset(worker.allowed_models),
        warm=tuple(Loaded(model["name"], int(model.get("memory_mib") or 0)) for model in worker.warm_models),
        memory_total_mib=int(worker.device.get("memory_total_mib") or 0),
        bounds_models=not worker.external,
    )


def _task(row: Any) -> WaitingTask:
    return WaitingTask(
        task_id=row.id,
        task_type=row.task_type,
        model=row.model,
        priority=row.priority,
        memory_mib=row.memory_mib,
        per_worker=per_worker(row.task_type, row.runner, row.max_per_worker, row.max_concurrent),
        avoid_worker=row.avoid_worker,
        organization=row.organization_id,
        user=row.party,
        since=row.since,
        ready=row.ready,
        spent=row.spent,
    )


def _rules(rows: Iterable[Any]) -> Rules:
    rows = list(rows)
    return Rules(
        weights={row.organization_id: row.weight for row in rows},
        organization_limits={r.organization_id: r.organization_limit for r in rows if r.organization_limit is not None},
        models={ModelKey(row.task_type, row.model): row.model_limit for row in rows if row.enabled},
        paused=Paused(
            frozenset(row.task_type for row in rows if row.queue_paused),
            frozenset(row.model for row in rows if row.model_paused),
            frozenset(row.organization_id for row in rows if row.organization_paused),
        ),
    )


def _ended(row: Any) -> Ended:
    """Only work that came to its good end teaches how long it takes."""
    if row.status != "completed":
        return Ended(row.gpu_seconds)
    return Ended(row.gpu_seconds, row.model_load_seconds, row.inference_seconds)
