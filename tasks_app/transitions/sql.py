"""Running a guarded UPDATE over many records in one round trip; the records travel as one JSON parameter."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connection


def as_recordset(records: Iterable[dict[str, Any]]) -> str:
    """For `jsonb_to_recordset(%s::jsonb)`. NUL, which jsonb cannot hold, was refused or removed where text came in."""
    return orjson.dumps(list(records)).decode()


def returning(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """The rows of RETURNING as named tuples."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.description is not None, "the statement returns nothing"
        row = namedtuple("row", [column.name for column in cursor.description])  # type: ignore[misc]  # noqa: PYI024
        return [row(*values) for values in cursor.fetchall()]
