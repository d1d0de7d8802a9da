"""Closing attempts: the rows of ours, and of django-celery-results, so that Celery's own tools can read how they went."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone
from django_celery_results.models import TaskResult

from tasks_app import wire_names
from tasks_app.models import Attempt
from tasks_app.outcomes import Failed, Outcome, Returned
from tasks_app.states import AttemptOutcome

CELERY_STATES = {
    AttemptOutcome.COMPLETED: "SUCCESS",
    AttemptOutcome.FAILED: "FAILURE",
    AttemptOutcome.LOST: "FAILURE",
    AttemptOutcome.CANCELLED: "REVOKED",
    AttemptOutcome.RETURNED: "RETRY",
}


def close(ended: Sequence[tuple[UUID, AttemptOutcome, Outcome]]) -> None:
    """Called in the transaction that ended the attempts."""
    if not ended:
        return
    rows = {row.pk: row for row in Attempt.objects.select_related("task").filter(pk__in=[pk for pk, _, _ in ended])}
    for pk, word, outcome in ended:
        row = rows[pk]
        row.outcome, row.ended_at, row.error = word, timezone.now(), error_of(outcome)
        row.model_load_seconds = outcome.measured.model_load_seconds
        row.inference_seconds = outcome.measured.inference_seconds
    Attempt.objects.bulk_update(
        rows.values(), ["outcome", "ended_at", "error", "model_load_seconds", "inference_seconds"]
    )
    TaskResult.objects.bulk_create(_celery_row(rows[pk], word) for pk, word, _ in ended)


def error_of(outcome: Outcome) -> dict[str, Any] | None:
    match outcome:
        case Failed(code=code, message=message, param=param, detail=detail):
            return {"code": code, "message": message, "param": param, "detail": detail}
        case Returned(reason=reason):
            return {"code": "returned", "message": reason, "param": None, "detail": ""}
        case _:
            return None


def _celery_row(attempt: Attempt, word: AttemptOutcome) -> TaskResult:
    error = attempt.error or {}
    return TaskResult(
        task_id=str(attempt.pk),
        task_name=wire_names.TASK_NAMES[attempt.task.task_type],
        status=CELERY_STATES[word],
        worker=attempt.worker,
        content_type="application/json",
        content_encoding="utf-8",
        result=json.dumps({"task_id": str(attempt.task_id), "error": error.get("message")}),
        traceback=error.get("detail") or None,
        meta="{}",
        date_started=attempt.started_at,
    )
