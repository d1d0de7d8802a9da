"""Renewing the leases of a worker's attempts, and reporting how far they are, in one statement per beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from tasks_app.sql import as_json, returning
from tasks_app.states import Status


@dataclass(frozen=True, slots=True)
class Beat:
    """How one attempt stands. `progress` is {"fraction", "step", "total_steps"} or None before the first step."""

    task_id: UUID
    attempt_id: UUID
    token: UUID
    phase: str
    progress: dict[str, Any] | None
    model_load_seconds: float | None


RENEW = """
UPDATE tasks_app_task t
   SET lease_expires_at = now() + make_interval(secs => %s), phase = b.phase,
       progress = COALESCE(b.progress, t.progress), model_load_seconds = b.model_load_seconds
  FROM jsonb_to_recordset(%s::jsonb) AS b(task_id uuid, attempt_id uuid, token uuid, phase text, progress jsonb,
                                          model_load_seconds float)
 WHERE t.id = b.task_id AND t.attempt_id = b.attempt_id AND t.lease_token = b.token
   AND t.status IN ('running', 'cancelling')
RETURNING t.attempt_id, t.status
"""


def renew(beats: Sequence[Beat]) -> dict[UUID, Status]:
    """Status by attempt id. An attempt that is missing is fenced: stop its request and discard what it made."""
    if not beats:
        return {}
    rows = returning(RENEW, [settings.LEASE_SECONDS, as_json([asdict(beat) for beat in beats])])
    return {row.attempt_id: Status(row.status) for row in rows}
