"""Writing the event log, and with a final event the outbox of webhooks. Called inside the transaction of the change, by
`transitions` and `services.insert` only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from tasks_app import hints
from tasks_app.sql import as_json
from tasks_app.states import FINAL
from tenants_app.ids import uuid7

CREATED = "task.created"
DISPATCHED = "task.dispatched"
STARTED = "task.started"
RETRYING = "task.retrying"
REQUEUED = "task.requeued"  # taken back before it started; costs no attempt
CANCELLING = "task.cancelling"
PRIORITY = "task.priority_changed"  # while it waits
FINAL_TYPES = {status: f"task.{status}" for status in FINAL}
_ENDS = frozenset(FINAL_TYPES.values())

APPEND = """
INSERT INTO tasks_app_taskevent (task_id, seq, type, data, at)
SELECT e.task_id, e.seq, e.type, e.data, now()
  FROM jsonb_to_recordset(%s::jsonb) AS e(task_id uuid, seq int, type text, data jsonb)
"""

# The same with the outbox of webhooks, where a task has one. Not for all: the join would cost every finish an eighth.
APPEND_AND_PROMISE = """
WITH e AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS e(task_id uuid, seq int, type text, data jsonb, delivery_id uuid)),
appended AS (
    INSERT INTO tasks_app_taskevent (task_id, seq, type, data, at) SELECT task_id, seq, type, data, now() FROM e)
INSERT INTO tasks_app_webhookdelivery
       (id, task_id, organization_id, host, state, tries, tries_before, last_error)
SELECT e.delivery_id, t.id, t.organization_id,
       COALESCE(left(lower(substring(t.webhook_url FROM '://([^/?#]+)')), 300), ''), 'pending', 0, 0, ''
  FROM e JOIN tasks_app_task t ON t.id = e.task_id
 WHERE e.delivery_id IS NOT NULL AND t.webhook_url IS NOT NULL
"""


def append(events: Iterable[tuple[UUID, int, str, dict[str, Any]]], webhooks: Collection[UUID] | None = None) -> None:
    """Each event is (task id, seq, type, data); `seq` is the task's `last_seq` as its own UPDATE returned it.

    Whoever ends tasks passes the ids of those that have a webhook, be it none; to those that ended it is promised, in
    the same transaction. The hints go out after the commit, so that whoever follows them finds the rows.
    """
    events = list(events)
    if not events:
        return
    ended = {task: kind in _ENDS for task, _, kind, _ in events}
    assert webhooks is not None or not any(ended.values()), "a task ended, and nobody said whether it has a webhook"
    promised = {task for task in webhooks or () if ended[task]}
    rows = [_record(*event, promised=event[0] in promised) for event in events]
    with connection.cursor() as cursor:
        cursor.execute(APPEND_AND_PROMISE if promised else APPEND, [as_json(rows)])
    transaction.on_commit(lambda: hints.changed(ended))
    if promised:
        transaction.on_commit(hints.wake_webhooks)


def _record(task: UUID, seq: int, kind: str, data: dict[str, Any], promised: bool) -> dict[str, Any]:
    return {"task_id": task, "seq": seq, "type": kind, "data": data, "delivery_id": uuid7() if promised else None}
