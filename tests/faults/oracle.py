"""What must hold after any fault, checked over the database: one final state, a whole log, nothing leaked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from tests.faults import tally

RULES = {
    "every task ended": "SELECT id, status FROM tasks_app_task WHERE completed_at IS NULL",
    "exactly one final event, and it agrees with the status": """
        SELECT t.id, t.status, count(e.id), min(e.type) FROM tasks_app_task t LEFT JOIN tasks_app_taskevent e
            ON e.task_id = t.id AND e.type IN ('task.completed', 'task.failed', 'task.cancelled', 'task.expired')
         GROUP BY t.id HAVING count(e.id) <> 1 OR min(e.type) <> 'task.' || t.status""",
    "the final event is the last one": """
        SELECT t.id FROM tasks_app_task t JOIN tasks_app_taskevent e ON e.task_id = t.id AND e.seq = t.last_seq
         WHERE e.type <> 'task.' || t.status""",
    "seq counts from 1 without a gap": """
        SELECT t.id, t.last_seq, count(e.id) FROM tasks_app_task t LEFT JOIN tasks_app_taskevent e ON e.task_id = t.id
         GROUP BY t.id HAVING count(e.id) <> t.last_seq OR min(e.seq) <> 1 OR max(e.seq) <> t.last_seq""",
    "every attempt is closed": "SELECT id FROM tasks_app_attempt WHERE outcome IS NULL",
    "attempts are numbered without a gap, as the task counts them": """
        SELECT t.id FROM tasks_app_task t LEFT JOIN tasks_app_attempt a ON a.task_id = t.id
         GROUP BY t.id HAVING count(a.id) <> t.attempt OR COALESCE(max(a.number), 0) <> t.attempt""",
    "no more attempts than allowed": """
        SELECT id FROM tasks_app_task WHERE attempt > max_attempts + free_attempts""",
    "a completed task has one completed attempt, its last": """
        SELECT t.id FROM tasks_app_task t WHERE t.status = 'completed' AND
         (SELECT array_agg(a.number) FROM tasks_app_attempt a
           WHERE a.task_id = t.id AND a.outcome = 'completed') IS DISTINCT FROM ARRAY[t.attempt]""",
    "Celery's record of every attempt": """
        SELECT a.id FROM tasks_app_attempt a LEFT JOIN django_celery_results_taskresult r ON r.task_id = a.id::text
         WHERE r.id IS NULL""",
    "no lease is left": "SELECT id FROM tasks_app_task WHERE lease_expires_at IS NOT NULL",
    "every final event has its webhook delivery, and nothing else has one": """
        SELECT t.id FROM tasks_app_task t LEFT JOIN tasks_app_webhookdelivery d ON d.task_id = t.id
         WHERE (t.webhook_url IS NULL) <> (d.id IS NULL)""",
    "no output of a task that did not complete": """
        SELECT f.id FROM tasks_app_artifact f JOIN tasks_app_task t ON f.task_id = t.id
         WHERE NOT f.is_input AND t.status <> 'completed'""",
}


def check(database_url: str, artifacts: Path) -> int:
    """Assert every rule; returns the number of tasks seen."""
    with psycopg.connect(database_url) as session:
        for rule, violations in RULES.items():
            rows = session.execute(violations).fetchall()  # type: ignore[call-overload]
            assert not rows, f"{rule}: {len(rows)} violations, first {rows[:3]}"
        for name, size, sha256 in session.execute("SELECT file, size_bytes, sha256 FROM tasks_app_artifact"):
            content = (artifacts / name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256), name
        row = session.execute("SELECT count(*) FROM tasks_app_task").fetchone()
        assert row is not None
        tally.note("tasks", f"{database_url} {row[0]}")  # all of them have ended
        return int(row[0])


def orphans(database_url: str, artifacts: Path) -> set[str]:
    """Stored files that no row names."""
    stored = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    with psycopg.connect(database_url) as session:
        return stored - {name for (name,) in session.execute("SELECT file FROM tasks_app_artifact")}
