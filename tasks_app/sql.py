"""Running a guarded UPDATE over many records in one round trip; the records travel as one JSON parameter."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection


def as_json(value: Any) -> str:
    """For a `%s::jsonb` parameter, mostly of `jsonb_to_recordset`. Text with NUL, which jsonb cannot hold, came through
    neither the API nor `gpu_worker.results`.
    """
    return orjson.dumps(value).decode()


def returning(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """The rows of RETURNING as named tuples."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.description is not None, "the statement returns nothing"
        row = namedtuple("row", [column.name for column in cursor.description])  # type: ignore[misc]
        return [row(*values) for values in cursor.fetchall()]
