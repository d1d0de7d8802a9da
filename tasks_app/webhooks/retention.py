"""Forgetting deliveries that arrived long ago. Called by the scheduler's house-keeping; failed ones stay."""

from __future__ import annotations

from django.db import connection

KEPT = 30  # days
BATCH = 1000  # rows a minute, so that no statement holds many for long

REMOVE = """
DELETE FROM tasks_app_webhookdelivery WHERE id IN (
    SELECT id FROM tasks_app_webhookdelivery WHERE state = 'delivered' AND ended_at < now() - make_interval(days => %s)
     ORDER BY ended_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def remove_old() -> int:
    """How many were removed."""
    with connection.cursor() as cursor:
        cursor.execute(REMOVE, [KEPT, BATCH])
        return int(cursor.rowcount)
