"""pending → pending with another priority. Not a status, but it races the placing as the statuses do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tasks_app import events
from tasks_app.sql import in_one_commit, returning

# Of many, what somebody holds is left out, as in a cancel of many: it is just being placed, or moved by somebody else.
FREE = "SELECT id FROM tasks_app_task WHERE id = ANY(%s) AND status = 'pending' FOR NO KEY UPDATE SKIP LOCKED"
CHANGE = """
UPDATE tasks_app_task t SET priority = %s, last_seq = t.last_seq + 1
  FROM (SELECT id, priority FROM tasks_app_task WHERE id = ANY(%s) AND status = 'pending' FOR NO KEY UPDATE) old
 WHERE t.id = old.id AND old.priority <> %s
RETURNING t.id, t.last_seq, t.priority, old.priority AS before
"""


@in_one_commit
def change_priority(task_ids: Sequence[UUID], priority: int, by: str) -> list[Any]:
    """Rows of the waiting tasks that have another priority now; those that had this one are not among them."""
    wanted = [row.id for row in returning(FREE, [list(task_ids)])] if len(task_ids) > 1 else list(task_ids)
    rows = returning(CHANGE, [priority, wanted, priority])
    events.append((r.id, r.last_seq, events.PRIORITY, {"from": r.before, "to": r.priority, "by": by}) for r in rows)
    return rows
