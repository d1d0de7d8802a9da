"""pending → dispatched → running, and dispatched → pending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from tasks_app import events
from tasks_app.decisions import Placement
from tasks_app.models import Attempt
from tasks_app.sql import as_json, in_one_commit, returning

DISPATCH = """
UPDATE tasks_app_task t
   SET status = 'dispatched', worker = p.worker, attempt_id = p.attempt_id, dispatched_at = now(), sent_at = now(),
       last_seq = t.last_seq + 1
  FROM jsonb_to_recordset(%s::jsonb) AS p(task_id uuid, worker text, attempt_id uuid)
 WHERE t.id = p.task_id AND t.status = 'pending'
RETURNING t.id, t.last_seq, t.worker, t.attempt_id, t.task_type
"""


@in_one_commit
def dispatch(placements: Sequence[Placement]) -> list[Any]:
    """pending → dispatched. Rows (id, last_seq, worker, attempt_id, task_type) of those that were still waiting."""
    records = [{"task_id": p.task_id, "worker": p.worker, "attempt_id": p.attempt_id} for p in placements]
    rows = returning(DISPATCH, [as_json(records)])
    events.append((r.id, r.last_seq, events.DISPATCHED, {"worker_id": r.worker}) for r in rows)
    return rows


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish to make a dispatched attempt its own; `token` is random and fences every later write."""

    task_id: UUID
    attempt_id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Claimed:
    """All that an execution needs to know of its task."""

    attempt_id: UUID
    token: UUID
    task_id: UUID
    organization_id: UUID
    task_type: str
    model: str
    input: dict[str, Any]
    parameters: dict[str, Any]
    number: int
    free_attempts: int
    max_attempts: int
    engine_deaths: int
    execution_timeout: float

    @property
    def is_suspect(self) -> bool:
        """An engine died under it: until it has ended well it runs alone, so that it takes nobody along."""
        return self.engine_deaths > 0

    @property
    def counted_attempts(self) -> int:
        """Attempts that count against `max_attempts`, this one included."""
        return self.number - self.free_attempts


CLAIM = """
UPDATE tasks_app_task t
   SET status = 'running', phase = 'loading_model', attempt = t.attempt + 1, lease_token = c.token,
       lease_expires_at = now() + make_interval(secs => %s), started_at = now(), last_seq = t.last_seq + 1,
       progress = NULL, model_load_seconds = NULL, inference_seconds = NULL,
       queue_seconds = COALESCE(t.queue_seconds, extract(epoch FROM now() - greatest(t.created_at, t.not_before)))
  FROM jsonb_to_recordset(%s::jsonb) AS c(task_id uuid, attempt_id uuid, token uuid)
 WHERE t.id = c.task_id AND t.attempt_id = c.attempt_id AND t.worker = %s AND t.status = 'dispatched'
   AND NOT EXISTS (SELECT FROM workers_app_worker w
                    WHERE w.name = %s AND (w.incarnation <> %s OR w.state <> 'active' OR w.quarantined_at IS NOT NULL))
RETURNING t.id, t.last_seq, t.organization_id, t.task_type, t.model, t.input, t.parameters, t.attempt,
          t.free_attempts, t.max_attempts, t.engine_deaths, t.execution_timeout, t.attempt_id, t.lease_token
"""

ALREADY_MINE = """
SELECT t.id, t.last_seq, t.organization_id, t.task_type, t.model, t.input, t.parameters, t.attempt,
       t.free_attempts, t.max_attempts, t.engine_deaths, t.execution_timeout, t.attempt_id, t.lease_token
  FROM tasks_app_task t JOIN jsonb_to_recordset(%s::jsonb) AS c(task_id uuid, attempt_id uuid, token uuid)
    ON t.id = c.task_id AND t.attempt_id = c.attempt_id AND t.lease_token = c.token
 WHERE t.status IN ('running', 'cancelling')
"""


@in_one_commit
def claim(claims: Sequence[Claim], worker: str, incarnation: UUID) -> list[Claimed]:
    """dispatched → running. What does not come back is not yours: drop the message. A worker that is paused, or whose
    name another process has taken over, gets nothing.

    A claim whose COMMIT reply was lost is recognised by its token when it is sent again.
    """
    wanted = as_json([asdict(c) for c in claims])
    rows = returning(CLAIM, [settings.LEASE_SECONDS, wanted, worker, worker, incarnation])
    Attempt.objects.bulk_create(
        Attempt(id=r.attempt_id, task_id=r.id, number=r.attempt, worker=worker, incarnation=incarnation) for r in rows
    )
    started = {"worker_id": worker}
    events.append((r.id, r.last_seq, events.STARTED, {**started, "attempt": r.attempt}) for r in rows)
    if len(rows) < len(claims):
        mine = {r.attempt_id for r in rows}
        rows += [r for r in returning(ALREADY_MINE, [wanted]) if r.attempt_id not in mine]
    return [_claimed(r) for r in rows]


def _claimed(row: Any) -> Claimed:
    return Claimed(
        attempt_id=row.attempt_id,
        token=row.lease_token,
        task_id=row.id,
        organization_id=row.organization_id,
        task_type=row.task_type,
        model=row.model,
        input=orjson.loads(row.input),
        parameters=orjson.loads(row.parameters),
        number=row.attempt,
        free_attempts=row.free_attempts,
        max_attempts=row.max_attempts,
        engine_deaths=row.engine_deaths,
        execution_timeout=row.execution_timeout,
    )


TAKE_BACK = """
UPDATE tasks_app_task
   SET status = 'pending', avoid_worker = worker, worker = NULL, attempt_id = NULL, sent_at = NULL,
       last_seq = last_seq + 1
 WHERE id = ANY(%s) AND attempt_id = ANY(%s) AND status = 'dispatched'
RETURNING id, last_seq, avoid_worker
"""


@in_one_commit
def take_back(attempts: Mapping[UUID, UUID], reason: str) -> list[Any]:
    """dispatched → pending, for attempts (by task id) that nobody claimed. They never started, so they cost nothing."""
    rows = returning(TAKE_BACK, [list(attempts), list(attempts.values())])
    events.append((r.id, r.last_seq, events.REQUEUED, {"worker_id": r.avoid_worker, "reason": reason}) for r in rows)
    return rows
