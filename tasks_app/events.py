"""Writing the event log. Called inside the transaction of the change, by `transitions` and `services.insert` only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from tasks_app import hints
from tasks_app.sql import as_json
from tasks_app.states import FINAL

CREATED = "task.created"
DISPATCHED = "task.dispatched"
STARTED = "task.started"
RETRYING = "task.retrying"
REQUEUED = "task.requeued"  # taken back before it started; costs no attempt
CANCELLING = "task.cancelling"
FINAL_TYPES = {status: f"task.{status}" for status in FINAL}

APPEND = """
INSERT INTO tasks_app_taskevent (task_id, seq, type, data, at)
SELECT e.task_id, e.seq, e.type, e.data, now()
  FROM jsonb_to_recordset(%s::jsonb) AS e(task_id uuid, seq int, type text, data jsonb)
"""


def append(events: Iterable[tuple[UUID, int, str, dict[str, Any]]]) -> None:
    """Each event is (task id, seq, type, data); `seq` is the task's `last_seq` as its own UPDATE returned it.

    The hint goes out after the commit, so that whoever follows it finds the rows.
    """
    events = list(events)
    if not events:
        return
    rows = [{"task_id": task, "seq": seq, "type": kind, "data": data} for task, seq, kind, data in events]
    with connection.cursor() as cursor:
        cursor.execute(APPEND, [as_json(rows)])
    tasks = {task: kind in FINAL_TYPES.values() for task, _, kind, _ in events}
    transaction.on_commit(lambda: hints.changed(tasks))
