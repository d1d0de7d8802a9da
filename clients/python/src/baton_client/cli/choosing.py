"""Which tasks `baton bulk …` means: ids, a filter, or all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from baton_client.calls import BulkFilters
from baton_client.cli import words

Ids = Annotated[list[str] | None, typer.Argument(metavar="TASK", help="Ids of tasks, instead of a filter.")]
Statuses = Annotated[
    list[str] | None, typer.Option("--status", "-s", help="pending, running, failed, …; again for more.")
]
Model = Annotated[str | None, typer.Option("--model", "-m")]
Worker = Annotated[str | None, typer.Option("--worker", "-w")]
OfBatch = Annotated[str | None, typer.Option("--batch", "-b", help="Of this batch.")]
User = Annotated[str | None, typer.Option("--user", help="Of this user.")]
Since = Annotated[str | None, typer.Option("--since", help="Not older than 2h, or than a time.")]
Before = Annotated[str | None, typer.Option("--before", help="Older than 2h, or than a time.")]
Search = Annotated[str | None, typer.Option("--search", "-q", help="In the input, or an id's beginning.")]
Code = Annotated[str | None, typer.Option("--error", help="That failed with this code: cuda_out_of_memory, …")]
All = Annotated[bool, typer.Option("--all", help="Every task.")]


@dataclass(frozen=True, slots=True)
class Chosen:
    ids: list[str] | None = None
    filters: BulkFilters = field(default_factory=BulkFilters)
    all: bool = False


def chosen(
    ids: list[str] | None, status: list[str] | None, task_type: str | None, model: str | None, worker: str | None,
    batch: str | None, user: str | None, since: str | None, before: str | None, search: str | None, code: str | None,
    everything: bool,
) -> Chosen:  # fmt: skip
    """Just one of the three."""
    given: dict[str, Any] = {
        "status": status, "task_type": task_type, "model": model, "worker_id": worker, "batch_id": batch, "user": user,
        "created_after": words.moment(since) if since else None,
        "created_before": words.moment(before) if before else None, "q": search, "error_code": code,
    }  # fmt: skip
    filters: BulkFilters = {name: value for name, value in given.items() if value}  # type: ignore[assignment]
    if [bool(ids), bool(filters), everything].count(True) != 1:
        raise typer.BadParameter("Say which tasks are meant: their ids, or a filter, or --all.")
    return Chosen(ids or None, filters, everything)
