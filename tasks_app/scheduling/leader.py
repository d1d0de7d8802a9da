"""Leadership by an advisory lock on its own connection; it ends with the connection, so a dead leader blocks nobody.

It is economy, not correctness: two leaders would only waste work, since every write is guarded.
"""

from __future__ import annotations

import contextlib

import psycopg
from django.db import connection

LOCK_KEY = 0x4241544F4E  # "BATON"; one scheduler leads per database


class Leadership:
    def __init__(self) -> None:
        self._session: psycopg.Connection | None = None

    def held(self) -> bool:
        """Take the lock if it is free, or make sure that it is still ours. Raises psycopg.Error without a database."""
        if self._session is None:
            self._session = self._take()
            return self._session is not None
        try:
            self._session.execute("SELECT 1")
        except psycopg.Error:
            self.give_up()
            raise
        return True

    def give_up(self) -> None:
        if self._session is not None:
            with contextlib.suppress(psycopg.Error):
                self._session.execute("SELECT pg_advisory_unlock_all()")  # a close alone is noticed a little later
            self._session.close()
            self._session = None

    @staticmethod
    def _take() -> psycopg.Connection | None:
        parameters = connection.get_connection_params()
        for django_only in ("cursor_factory", "context", "pool", "prepare_threshold"):
            parameters.pop(django_only, None)
        session = psycopg.connect(**parameters, autocommit=True, application_name="baton-scheduler-leader")
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone()
        if row and row[0]:
            return session
        session.close()
        return None


def exists() -> bool:
    """Does any scheduler lead now? For /readyz and the pages."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid::bigint << 32) | objid::bigint = %s)",
            [LOCK_KEY],
        )
        return bool(cursor.fetchone()[0])
