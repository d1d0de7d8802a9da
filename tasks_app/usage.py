"""What tasks have cost, added up by organization, user, key, model, type and day; deleted tasks count as before.

A task counts on the day (UTC) on which it ended, with all that its attempts have cost: what loading and inference took
in the attempt that completed it, and as wasted everything else. So these three add up to its GPU-seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from tasks_app.sql import returning
from tenants_app.identity import Identity
from tenants_app.models import ApiKey, Organization

MAX_ROWS = 10_000  # of one answer
NOBODY = UUID(int=0)
# How each word groups, and nothing else ever stands in the statement.
GROUPS = {
    "day": "(completed_at AT TIME ZONE 'UTC')::date",
    "organization": "organization_id",
    "user": "user_id",
    "api_key": "api_key_id",
    "task_type": "task_type",
    "model": "model",
}
DONE = "FILTER (WHERE status = 'completed')"
LOAD, INFERENCE = (f"COALESCE(sum({column}) {DONE}, 0)" for column in ("model_load_seconds", "inference_seconds"))
SUMS = {
    "tasks": "count(*)",
    "completed_tasks": f"count(*) {DONE}",
    "gpu_seconds": "COALESCE(sum(gpu_seconds), 0)",
    "load_seconds": LOAD,
    "inference_seconds": INFERENCE,
    "wasted_seconds": f"greatest(0, COALESCE(sum(gpu_seconds), 0) - {LOAD} - {INFERENCE})",
    "input_tokens": "COALESCE(sum(input_tokens), 0)::bigint",
    "output_tokens": "COALESCE(sum(output_tokens), 0)::bigint",
    "images": "COALESCE(sum(images), 0)::bigint",
    "audio_seconds": "COALESCE(sum(audio_seconds), 0)",
}
COLUMNS = """completed_at, organization_id, user_id, api_key_id, task_type, model, status, gpu_seconds,
             model_load_seconds, inference_seconds, input_tokens, output_tokens, images, audio_seconds"""


class TooManyRows(Exception):
    """Group by less, or ask for less time."""


@dataclass(frozen=True, slots=True)
class Question:
    """Of what ended from `begin` to before `end`. None: of all that the asker may see."""

    begin: datetime
    end: datetime
    group_by: Sequence[str] = ()  # words of GROUPS
    organization: str | None = None
    user: str | None = None
    api_key_id: UUID | None = None
    task_type: str | None = None
    model: str | None = None


def read(identity: Identity, question: Question) -> list[dict[str, Any]]:
    """Rows of the groups and SUMS, the groups in order; one row if there are no groups. Raises TooManyRows.

    It reads one index entry for each task and no task: some tenths of a second for 300,000.
    """
    where, values = _conditions(identity, question)
    groups = [f"{GROUPS[word]} AS {word}_" for word in question.group_by]
    numbers = ", ".join(str(place + 1) for place in range(len(groups)))
    statement = f"""
    SELECT {", ".join([*groups, *(f"{formula} AS {name}" for name, formula in SUMS.items())])}
      FROM (SELECT {COLUMNS} FROM tasks_app_task WHERE {where}
            UNION ALL
            SELECT {COLUMNS} FROM tasks_app_usagerecord WHERE {where}) AS ended
     {f"GROUP BY {numbers} ORDER BY {numbers}" if groups else ""}
     LIMIT {MAX_ROWS + 1}"""
    rows = returning(statement, [*values, *values])
    if len(rows) > MAX_ROWS:
        raise TooManyRows
    return _named([row._asdict() for row in rows], question.group_by)


def names_of(group_by: Sequence[str]) -> list[str]:
    """Of the columns of a row, in order."""
    groups = [name for word in group_by for name in ((word, "api_key_name") if word == "api_key" else (word,))]
    return [*groups, *SUMS]


def total(identity: Identity, question: Question) -> dict[str, Any]:
    [row] = read(identity, replace(question, group_by=()))
    return row


def _conditions(identity: Identity, question: Question) -> tuple[str, list[Any]]:
    conditions: list[str] = ["completed_at >= %s", "completed_at < %s"]
    values: list[Any] = [question.begin, question.end]
    if not identity.sees_all:  # whatever else is asked
        conditions.append("organization_id = %s")
        values.append(identity.organization.pk)
    exact: dict[str, Any] = {
        "api_key_id": question.api_key_id,
        "task_type": question.task_type,
        "model": question.model,
    }
    if question.organization is not None:
        found = Organization.objects.filter(slug=question.organization)
        exact["organization_id"] = found.values_list("pk", flat=True).first() or NOBODY
    if question.user is not None:
        exact["user_id"] = User.objects.filter(username=question.user).values_list("pk", flat=True).first() or 0
    for column, value in exact.items():
        if value is not None:
            conditions.append(f"{column} = %s")
            values.append(value)
    return " AND ".join(conditions), values


def _named(rows: list[dict[str, Any]], group_by: Sequence[str]) -> list[dict[str, Any]]:
    """With what people call things instead of the ids, and beside that of a key."""
    for row in rows:
        for word in group_by:
            row[word] = row.pop(f"{word}_")
    if "organization" in group_by:
        slugs = dict(Organization.objects.values_list("pk", "slug"))
        rows = [{**row, "organization": slugs.get(row["organization"])} for row in rows]
    if "user" in group_by:
        names = dict(User.objects.filter(pk__in={row["user"] for row in rows}).values_list("pk", "username"))
        rows = [{**row, "user": names.get(row["user"])} for row in rows]
    if "api_key" in group_by:
        keys = dict(ApiKey.objects.filter(pk__in={row["api_key"] for row in rows}).values_list("pk", "name"))
        rows = [{**row, "api_key_name": keys.get(row["api_key"])} for row in rows]
    return rows
