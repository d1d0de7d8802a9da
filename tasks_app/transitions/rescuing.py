"""running | cancelling → pending | failed | cancelled when a worker was lost or replaced, and pending → expired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from tasks_app import events, retries
from tasks_app.outcomes import Cancelled, Failed
from tasks_app.sql import as_json, in_one_commit, returning
from tasks_app.states import AttemptOutcome, CancelMode, Status
from tasks_app.transitions import attempts

BATCH = 500  # tasks per statement, so that no statement holds many rows for long

LOST = """
SELECT id, attempt_id, attempt, free_attempts, max_attempts, worker, lease_token, status
  FROM tasks_app_task
 WHERE status IN ('running', 'cancelling') AND lease_expires_at < now()
 ORDER BY id LIMIT %s
   FOR UPDATE SKIP LOCKED
"""

REPLACED = """
SELECT t.id, t.attempt_id, t.attempt, t.free_attempts, t.max_attempts, t.worker, t.lease_token, t.status
  FROM tasks_app_task t JOIN tasks_app_attempt a ON a.id = t.attempt_id
 WHERE t.status IN ('running', 'cancelling') AND t.worker = %s AND a.incarnation <> %s
 ORDER BY t.id LIMIT %s
   FOR UPDATE OF t SKIP LOCKED
"""

# gpu_seconds: what the lost attempt held a device for, as far as anybody can know.
RESCUE = """
UPDATE tasks_app_task t
   SET status = r.target,
       completed_at = CASE r.target WHEN 'pending' THEN NULL ELSE now() END,
       error = r.error,
       cancellation = CASE r.target WHEN 'cancelled'
           THEN t.cancellation || jsonb_build_object('stopped_at', now(), 'mode', 'lost') ELSE t.cancellation END,
       worker = CASE r.target WHEN 'pending' THEN NULL ELSE t.worker END,
       attempt_id = CASE r.target WHEN 'pending' THEN NULL ELSE t.attempt_id END,
       avoid_worker = t.worker,
       not_before = CASE r.target WHEN 'pending' THEN now() + make_interval(secs => r.delay) ELSE t.not_before END,
       gpu_seconds = t.gpu_seconds + extract(epoch FROM least(now(), t.lease_expires_at) - t.started_at),
       phase = NULL, lease_token = NULL, lease_expires_at = NULL, last_seq = t.last_seq + 1
  FROM jsonb_to_recordset(%s::jsonb) AS r(id uuid, target text, error jsonb, delay float)
 WHERE t.id = r.id
RETURNING t.id, t.last_seq, t.status, t.attempt, t.not_before, t.webhook_url IS NOT NULL AS has_webhook
"""


@in_one_commit
def rescue(is_sure: Callable[[], bool] = lambda: True) -> list[Any]:
    """Close the attempts whose lease ran out, and give their tasks back to the queue, or end them.

    Only call this after having seen the database healthy for one whole lease: a database that was away makes every
    lease look lost. `is_sure` is asked once more when the rows are locked, for one that froze under this very call.
    """
    lost = returning(LOST, [BATCH])
    return _give_back(lost, "stopped answering") if is_sure() else []


@in_one_commit
def rescue_from_earlier(worker: str, incarnation: UUID) -> list[Any]:
    """The same for what earlier processes of that name were running, without waiting for their leases.

    One that still lives, cut off or started twice, is fenced by this: whatever it writes from now on changes nothing.
    """
    return _give_back(returning(REPLACED, [worker, incarnation, BATCH]), "was started anew")


def _give_back(lost: list[Any], what: str) -> list[Any]:
    """`what` their worker did."""
    failures = {row.id: _worker_lost(row, what) for row in lost}
    plans = {row.id: _plan(row, failures[row.id]) for row in lost}
    rows = returning(RESCUE, [as_json(list(plans.values()))]) if plans else []
    attempts.close([_closing(row, failures[row.id]) for row in lost])
    happened = [(r.id, r.last_seq, *_event(r, plans[r.id])) for r in rows]
    events.append(happened, webhooks=[r.id for r in rows if r.has_webhook])
    return rows


def _plan(row: Any, failed: Failed) -> dict[str, Any]:
    """The record of RESCUE for one locked row: id, target, error, delay."""
    counted = row.attempt - row.free_attempts
    plan: dict[str, Any] = {"id": row.id, "error": None, "delay": 0.0}
    if row.status == Status.CANCELLING:
        return {**plan, "target": Status.CANCELLED}
    if again := retries.after(retries.FailureCode.WORKER_LOST, counted, row.max_attempts):
        return {**plan, "target": Status.PENDING, "delay": again.delay}
    return {**plan, "target": Status.FAILED, "error": attempts.failure(failed, row.attempt)}


def _worker_lost(row: Any, what: str) -> Failed:
    return Failed(retries.FailureCode.WORKER_LOST, f"Worker {row.worker} {what} while it ran this task.")


def _closing(row: Any, failed: Failed) -> tuple[UUID, AttemptOutcome, Any]:
    if row.status == Status.CANCELLING:
        return row.attempt_id, AttemptOutcome.CANCELLED, Cancelled(CancelMode.LOST)
    return row.attempt_id, AttemptOutcome.LOST, failed


def _event(row: Any, plan: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if row.status == Status.PENDING:
        code = retries.FailureCode.WORKER_LOST
        return events.RETRYING, {"attempt": row.attempt, "code": code, "not_before": row.not_before.isoformat()}
    data = {"attempt": row.attempt, **({"code": plan["error"]["code"]} if plan["error"] else {})}
    return events.FINAL_TYPES[Status(row.status)], data


EXPIRE = """
UPDATE tasks_app_task
   SET status = 'expired', completed_at = now(), last_seq = last_seq + 1
 WHERE id IN (SELECT id FROM tasks_app_task
               WHERE status = 'pending' AND start_deadline < now() LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, last_seq, webhook_url IS NOT NULL AS has_webhook
"""


@in_one_commit
def expire() -> list[Any]:
    """pending → expired for tasks whose start deadline passed."""
    rows = returning(EXPIRE, [BATCH])
    ended = events.FINAL_TYPES[Status.EXPIRED]
    events.append([(r.id, r.last_seq, ended, {}) for r in rows], webhooks=[r.id for r in rows if r.has_webhook])
    return rows
