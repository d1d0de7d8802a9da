"""pending | dispatched → cancelled, running → cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tasks_app import events
from tasks_app.sql import in_one_commit, returning
from tasks_app.states import Status

REQUEST = """
UPDATE tasks_app_task
   SET status = CASE status WHEN 'running' THEN 'cancelling' ELSE 'cancelled' END,
       completed_at = CASE status WHEN 'running' THEN NULL ELSE now() END,
       cancellation = CASE status
           WHEN 'running' THEN jsonb_build_object('requested_at', now(), 'acknowledged_at', NULL,
                                                  'stopped_at', NULL, 'mode', NULL)
           ELSE jsonb_build_object('requested_at', now(), 'acknowledged_at', now(),
                                   'stopped_at', now(), 'mode', 'dequeued') END,
       last_seq = last_seq + 1
 WHERE id = ANY(%s) AND status IN ('pending', 'dispatched', 'running')
RETURNING id, last_seq, status, worker, attempt_id, cancellation, webhook_url IS NOT NULL AS has_webhook
"""

# Whoever holds many rows and waits for one more may wait for somebody who waits for him: a worker that reports several
# ends at once. So of many only those are taken that nobody holds.
FREE = """
SELECT id FROM tasks_app_task
 WHERE id = ANY(%s) AND status IN ('pending', 'dispatched', 'running') FOR NO KEY UPDATE SKIP LOCKED
"""


@in_one_commit
def request_cancel(task_ids: Sequence[UUID], by: str) -> list[Any]:
    """Rows (id, last_seq, status, worker, attempt_id) of the tasks that this call stopped or asked to stop.

    A task that is missing from them was cancelling, cancelled or finished already: read it to tell which. Of many, it
    may also be one that is just being written; asked for alone it is waited for.
    """
    wanted = [row.id for row in returning(FREE, [list(task_ids)])] if len(task_ids) > 1 else list(task_ids)
    rows = returning(REQUEST, [wanted])
    happened = [(r.id, r.last_seq, _event_type(r.status), {"by": by}) for r in rows]
    events.append(happened, webhooks=[r.id for r in rows if r.has_webhook])
    return rows


def _event_type(status: str) -> str:
    return events.CANCELLING if status == Status.CANCELLING else events.FINAL_TYPES[Status.CANCELLED]
