"""Running a guarded UPDATE over many records in one round trip; the records travel as one JSON parameter.

`in_one_commit` makes a function one transaction, with a place before and after its commit where a test may crash it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence, Sized
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import orjson
from django.db import connection, transaction

from tasks_app import crash_points

P = ParamSpec("P")
R = TypeVar("R")


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


def _changed_something(answer: object) -> bool:
    """A crash between nothing and nothing tells nothing: most rounds of the scheduler find no work."""
    return not isinstance(answer, Sized) or len(answer) > 0


def in_one_commit(function: Callable[P, R]) -> Callable[P, R]:
    name = function.__name__

    @wraps(function)
    def commit(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            answer = function(*args, **kwargs)
            if _changed_something(answer):
                crash_points.reach(f"{name}.before_commit")
        if _changed_something(answer):
            crash_points.reach(f"{name}.after_commit")
        return answer

    return commit
