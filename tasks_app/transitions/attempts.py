"""Closing attempts: our rows, and django-celery-results' beside them for Celery's own tools to read how they went.

Its backend is last-writer-wins, so nothing else of ours writes there. Celery itself does when a worker gets a message
for a task that its version does not know; what really became of the attempt has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from tasks_app import wire_names
from tasks_app.outcomes import EngineDeath, Failed, Outcome, Returned
from tasks_app.retries import FailureCode
from tasks_app.sql import as_json
from tasks_app.states import AttemptOutcome

CELERY_STATES = {
    AttemptOutcome.COMPLETED: "SUCCESS",
    AttemptOutcome.FAILED: "FAILURE",
    AttemptOutcome.LOST: "FAILURE",
    AttemptOutcome.CANCELLED: "REVOKED",
    AttemptOutcome.RETURNED: "RETRY",
}

CLOSE = """
WITH ended AS (
    UPDATE tasks_app_attempt a
       SET outcome = c.outcome, ended_at = now(), error = c.error,
           model_load_seconds = c.model_load_seconds, inference_seconds = c.inference_seconds, relief = c.relief
      FROM jsonb_to_recordset(%s::jsonb) AS c(id uuid, outcome text, celery_state text, error jsonb,
                                              model_load_seconds float, inference_seconds float, relief jsonb)
     WHERE a.id = c.id AND a.outcome IS NULL
    RETURNING a.id, a.task_id, a.worker, a.started_at, a.error, c.celery_state)
INSERT INTO django_celery_results_taskresult
       (task_id, task_name, status, worker, content_type, content_encoding, result, traceback, meta,
        date_created, date_started, date_done)
SELECT e.id::text, %s::jsonb ->> t.task_type, e.celery_state, e.worker, 'application/json', 'utf-8',
       jsonb_build_object('task_id', t.id, 'error', e.error -> 'message')::text, e.error ->> 'detail', '{}',
       now(), e.started_at, now()
  FROM ended e JOIN tasks_app_task t ON t.id = e.task_id
    ON CONFLICT (task_id) DO UPDATE
   SET (task_name, status, worker, result, traceback, date_started, date_done) =
       (EXCLUDED.task_name, EXCLUDED.status, EXCLUDED.worker, EXCLUDED.result, EXCLUDED.traceback,
        EXCLUDED.date_started, EXCLUDED.date_done)
"""


def close(ended: Sequence[tuple[UUID, AttemptOutcome, Outcome]]) -> None:
    """Called in the transaction that ended the attempts."""
    if ended:
        with connection.cursor() as cursor:
            records = as_json([_record(*attempt) for attempt in ended])
            cursor.execute(CLOSE, [records, as_json(wire_names.TASK_NAMES)])


def _record(attempt_id: UUID, word: AttemptOutcome, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": attempt_id,
        "outcome": word,
        "celery_state": CELERY_STATES[word],
        "error": error_of(outcome),
        "model_load_seconds": outcome.measured.model_load_seconds,
        "inference_seconds": outcome.measured.inference_seconds,
        "relief": outcome.measured.relief,
    }


def error_of(outcome: Outcome) -> dict[str, Any] | None:
    """What an attempt's row keeps of a bad end."""
    match outcome:
        case Failed():
            return _error(outcome)
        case EngineDeath(reason=reason):
            return _error(Failed(FailureCode.ENGINE_CRASHED, reason))
        case Returned(reason=reason):
            return {"code": "returned", "message": reason, "param": None, "detail": ""}
        case _:
            return None


def failure(outcome: Failed, number: int) -> dict[str, Any]:
    """What the task's row keeps when attempt `number` was its last."""
    return {**_error(outcome), "attempt": number}


def _error(outcome: Failed) -> dict[str, Any]:
    return {
        "code": outcome.code,
        "message": outcome.message,
        "param": outcome.param,
        "detail": outcome.detail,
    }
