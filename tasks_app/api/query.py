"""Reading query strings as strictly as bodies: an unknown name or a bad value is a 400 that names it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from tasks_app.api.errors import InvalidInput
from tasks_app.schemas.strict import storable
from tasks_app.selectors import TaskFilter
from tasks_app.states import CELERY_WORDS, Status, parse_status
from workers_app.models import TaskType

MAX_TEXT = 200  # characters
PAGE, MAX_PAGE = 50, 200
FILTERS = frozenset(
    {"status", "task_type", "model", "worker_id", "batch_id", "user", "created_after", "created_before", "q"}
)


def refuse_unknown(query: QueryDict, known: Collection[str]) -> None:
    for name in query:
        if name not in known:
            raise InvalidInput(f"{name[:MAX_TEXT]} is not a known parameter", name[:MAX_TEXT])


def integer(query: QueryDict, name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidInput(f"{name} must be {low} to {high}", name)
    return int(text)


def boolean(query: QueryDict, name: str) -> bool:
    return choice(query, name, ("true", "false")) == "true"


def choice(query: QueryDict, name: str, words: Collection[str]) -> str | None:
    text = query.get(name)
    if text is not None and text not in words:
        raise InvalidInput(f"{name} must be one of {', '.join(words)}", name)
    return text


def text(query: QueryDict, name: str) -> str | None:
    value = query.get(name)
    if value is not None and not (value and len(value) <= MAX_TEXT and storable(value)):
        raise InvalidInput(f"{name} must be 1 to {MAX_TEXT} characters, without NUL", name)
    return value


def uuid(query: QueryDict, name: str) -> UUID | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise InvalidInput(f"{name} must be an id", name) from None


def moment(query: QueryDict, name: str) -> datetime | None:
    """RFC 3339; without an offset it is UTC. A plus that arrived unescaped, so as a space, is taken for a plus."""
    value = query.get(name)
    if value is None:
        return None
    parsed = _parsed(value.replace(" ", "+") if "T" in value else value)
    if parsed is None:
        raise InvalidInput(f"{name} must be a time such as 2030-01-31T12:00:00Z", name)
    return parsed


def _parsed(value: str) -> datetime | None:
    try:
        parsed = parse_datetime(value)
        utc = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC) if parsed else None
    except (ValueError, OverflowError):
        return None
    return utc if utc and 1970 <= utc.year < 9999 else None  # beyond, no arithmetic is safe


def task_filter(query: QueryDict) -> TaskFilter:
    return TaskFilter(
        statuses=_statuses(query.getlist("status")),
        task_type=choice(query, "task_type", TaskType.values),
        model=text(query, "model"),
        worker_id=text(query, "worker_id"),
        batch_id=uuid(query, "batch_id"),
        user=text(query, "user"),
        created_after=moment(query, "created_after"),
        created_before=moment(query, "created_before"),
        q=text(query, "q"),
    )


def _statuses(words: list[str]) -> frozenset[Status]:
    try:
        return frozenset[Status]().union(*map(parse_status, words))
    except ValueError:
        known = ", ".join([*Status, *CELERY_WORDS])
        raise InvalidInput(f"status must be one of {known}", "status") from None
