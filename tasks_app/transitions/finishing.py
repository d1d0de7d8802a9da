"""running | cancelling → completed | failed | cancelled, or back to pending for another try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tasks_app import events
from tasks_app.models import Artifact
from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Outcome, Returned
from tasks_app.sql import as_json, in_one_commit, returning
from tasks_app.states import AttemptOutcome, CancelMode, Status
from tasks_app.transitions import attempts
from tasks_app.transitions.placing import Claimed
from tasks_app.transitions.verdicts import Verdict, verdict_on


@dataclass(frozen=True, slots=True)
class Finish:
    claimed: Claimed
    outcome: Outcome
    progress: dict[str, Any] | None = None  # the last one; the beats may have missed it


# A task that was asked to stop never goes back to the queue and never fails: it is cancelled, unless it won the race.
_STATUS = "CASE WHEN t.status = 'cancelling' AND f.target <> 'completed' THEN 'cancelled' ELSE f.target END"
FINISH = f"""
UPDATE tasks_app_task t
   SET status = {_STATUS},
       completed_at = CASE {_STATUS} WHEN 'pending' THEN NULL ELSE now() END,
       result = CASE WHEN {_STATUS} IN ('completed', 'cancelled') THEN f.result END,
       error = CASE {_STATUS} WHEN 'failed' THEN f.error END,
       cancellation = CASE {_STATUS} WHEN 'cancelled' THEN t.cancellation || jsonb_build_object(
           'acknowledged_at', COALESCE(f.acknowledged_at, now()), 'stopped_at', now(), 'mode', f.mode)
           ELSE t.cancellation END,
       progress = COALESCE(f.progress, t.progress)
                  || CASE {_STATUS} WHEN 'completed' THEN '{{"fraction": 1.0}}' ELSE '{{}}' END::jsonb,
       worker = CASE {_STATUS} WHEN 'pending' THEN NULL ELSE t.worker END,
       attempt_id = CASE {_STATUS} WHEN 'pending' THEN NULL ELSE t.attempt_id END,
       avoid_worker = CASE WHEN {_STATUS} = 'pending' AND f.elsewhere THEN t.worker END,
       not_before = CASE {_STATUS} WHEN 'pending' THEN now() + make_interval(secs => f.delay) ELSE t.not_before END,
       engine_deaths = t.engine_deaths + f.deaths,
       free_attempts = t.free_attempts + CASE {_STATUS} WHEN 'pending' THEN f.free ELSE 0 END,
       phase = NULL, lease_expires_at = NULL, last_seq = t.last_seq + 1,
       gpu_seconds = t.gpu_seconds + f.gpu_seconds,
       model_load_seconds = f.model_load_seconds, inference_seconds = f.inference_seconds,
       input_tokens = f.input_tokens, output_tokens = f.output_tokens, images = f.images,
       audio_seconds = f.audio_seconds
  FROM jsonb_to_recordset(%s::jsonb) AS f(
       task_id uuid, attempt_id uuid, token uuid, target text, result jsonb, error jsonb, mode text, progress jsonb,
       acknowledged_at timestamptz, delay float, elsewhere bool, free int, deaths int, gpu_seconds float,
       model_load_seconds float, inference_seconds float, input_tokens int, output_tokens int, images int,
       audio_seconds float)
 WHERE t.id = f.task_id AND t.attempt_id = f.attempt_id AND t.lease_token = f.token
   AND t.status IN ('running', 'cancelling') AND (t.status = 'cancelling' OR f.target <> 'cancelled')
RETURNING t.id, t.last_seq, t.status, f.attempt_id, t.attempt, t.not_before, t.webhook_url IS NOT NULL AS has_webhook
"""

# The end of an attempt leaves its token on the row, so a finish whose reply was lost is known as one's own.
ALREADY_DONE = """
SELECT t.id, t.last_seq, t.status, f.attempt_id, t.attempt, t.not_before
  FROM tasks_app_task t JOIN jsonb_to_recordset(%s::jsonb) AS f(task_id uuid, attempt_id uuid, token uuid)
    ON t.id = f.task_id AND t.lease_token = f.token
 WHERE t.lease_expires_at IS NULL
"""


@in_one_commit
def finish(finishes: Sequence[Finish]) -> dict[UUID, Status]:
    """The status that each attempt's task now has, by attempt id. An attempt that is missing was no longer current.

    The caller of a missing attempt discards everything it made.
    """
    by_attempt = {f.claimed.attempt_id: f for f in finishes}
    verdicts = {f.claimed.attempt_id: verdict_on(f.claimed, f.outcome) for f in finishes}
    wanted = as_json([_record(f, verdicts[f.claimed.attempt_id]) for f in finishes])
    rows = returning(FINISH, [wanted])
    won = [(by_attempt[r.attempt_id], r) for r in rows]
    attempts.close([(f.claimed.attempt_id, _attempt_outcome(f.outcome, r.status), f.outcome) for f, r in won])
    Artifact.objects.bulk_create(a for f, r in won if r.status == Status.COMPLETED for a in _artifacts(f))
    happened = [(r.id, r.last_seq, *_event(f, verdicts[r.attempt_id], r)) for f, r in won]
    events.append(happened, webhooks=[r.id for r in rows if r.has_webhook])
    statuses = {r.attempt_id: Status(r.status) for r in rows}
    if len(statuses) < len(finishes):
        statuses |= {r.attempt_id: Status(r.status) for r in returning(ALREADY_DONE, [wanted])}
    return statuses


def _record(finish: Finish, verdict: Verdict) -> dict[str, Any]:
    claimed, outcome = finish.claimed, finish.outcome
    return {
        "task_id": claimed.task_id,
        "attempt_id": claimed.attempt_id,
        "token": claimed.token,
        "target": verdict.target,
        "delay": verdict.again.delay,
        "elsewhere": verdict.again.elsewhere,
        "progress": finish.progress,
        "free": int(verdict.free),
        "deaths": int(isinstance(outcome, EngineDeath)),
        "result": outcome.result if isinstance(outcome, Completed | Cancelled) else None,
        "error": verdict.error and attempts.failure(verdict.error, claimed.number),
        "mode": _mode(outcome),
        "acknowledged_at": outcome.acknowledged_at if isinstance(outcome, Cancelled) else None,
        "gpu_seconds": outcome.measured.gpu_seconds,
        **asdict(outcome.measured),
    }


def _mode(outcome: Outcome) -> CancelMode:
    """How the task stopped, if it was asked to; most outcomes are of attempts that had not heard of that yet."""
    if isinstance(outcome, Cancelled):
        return outcome.mode
    return CancelMode.LOST if isinstance(outcome, EngineDeath) else CancelMode.COOPERATIVE


def _attempt_outcome(outcome: Outcome, status: str) -> AttemptOutcome:
    if status == Status.CANCELLED:
        return AttemptOutcome.CANCELLED
    match outcome:
        case Completed():
            return AttemptOutcome.COMPLETED
        case Returned():
            return AttemptOutcome.RETURNED
        case _:
            return AttemptOutcome.FAILED


def _event(finish: Finish, verdict: Verdict, row: Any) -> tuple[str, dict[str, Any]]:
    data: dict[str, Any] = {"attempt": row.attempt}
    if verdict.error:
        data["code"], data["message"] = verdict.error.code, verdict.error.message
    if isinstance(finish.outcome, Returned):
        data["reason"] = finish.outcome.reason
    if row.status == Status.PENDING:
        return events.RETRYING, {**data, "not_before": row.not_before.isoformat()}
    return events.FINAL_TYPES[Status(row.status)], data


def _artifacts(finish: Finish) -> list[Artifact]:
    assert isinstance(finish.outcome, Completed)
    owner = {"organization_id": finish.claimed.organization_id, "task_id": finish.claimed.task_id}
    return [Artifact(**asdict(stored), **owner) for stored in finish.outcome.artifacts]
