"""`baton usage`: what tasks have cost."""

from __future__ import annotations

from typing import Annotated

import typer

from baton_client.calls_operations import UsageFilters
from baton_client.cli import words
from baton_client.cli.options import Json, TaskType, connect
from baton_client.cli.output import dump, table
from baton_client.errors import BatonError, NotFound
from baton_client.shapes.usage import UsageSums

SUMS = (">tasks", ">completed", ">GPU time", ">wasted", ">tokens in", ">tokens out", ">images", ">audio")


def usage(
    context: typer.Context,
    since: Annotated[str | None, typer.Option("--since", help="From 7d ago on, or from a day or time of UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to before this day or time, or so long ago.")] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAMES", help="With commas: day, organization, user, api_key, task_type, model."),
    ] = None,
    task_type: TaskType = None,
    model: Annotated[str | None, typer.Option("--model", "-m")] = None,
    user: Annotated[str | None, typer.Option("--user")] = None,
    as_json: Json = False,
) -> None:
    """Show what tasks have cost: GPU time, tokens, images, audio.

    Of the last 30 days, by day and model, if nothing else is said.

    baton usage --since 7d --by user,model
    """
    given = {"task_type": task_type, "model": model, "user": user}
    filters: UsageFilters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    with connect(context) as client:
        try:
            found = client.usage(
                since=words.moment(since) if since else None,
                until=words.moment(until) if until else None,
                group_by=by.split(",") if by is not None else None,
                **filters,
            )
        except NotFound as error:
            raise BatonError(error.message) from None
    if as_json:
        dump(found.raw)
        return
    names = ["api_key_name" if name == "api_key" else name for name in found.group_by]
    rows = [(*(getattr(row, name, None) or "–" for name in names), *_sums(row)) for row in found.results]
    total = [("total", *[""] * (len(names) - 1), *_sums(found.total))] if names else [_sums(found.total)]
    table((*names, *SUMS), rows + total if rows else [], "No task has ended in that time.")


def _sums(row: UsageSums) -> tuple[object, ...]:
    times = words.seconds(row.gpu_seconds), words.seconds(row.wasted_seconds)
    made = row.input_tokens, row.output_tokens, row.images, words.seconds(row.audio_seconds)
    return row.tasks, row.completed_tasks, *times, *made
