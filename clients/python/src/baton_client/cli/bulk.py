"""`baton bulk …`: what is done to many tasks at once. It is counted first, asked about, and then done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from baton_client.cli.choosing import (
    All,
    Before,
    Code,
    Ids,
    Model,
    OfBatch,
    Search,
    Since,
    Statuses,
    User,
    Worker,
    chosen,
)  # fmt: skip
from baton_client.cli.failures import FAILED
from baton_client.cli.options import Json, TaskType, connect
from baton_client.cli.output import ask, dump, note, say
from baton_client.client import Client
from baton_client.shapes.many import BulkCancelled, BulkDeleted, BulkMoved, BulkRetried

LONG = 300.0  # seconds for an answer; the server goes through some thousand tasks a second
WORDS = {"cancelling": "being stopped", "changed": "moved", "already_cancelling": "being stopped already"}
bulk = typer.Typer(help="Cancel, retry, delete or move many tasks, by filter.", no_args_is_help=True)
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Tally = BulkCancelled | BulkRetried | BulkDeleted | BulkMoved
Call = Callable[[Client, bool], Tally]  # the bool: only count


@bulk.command()
def cancel(
    context: typer.Context, ids: Ids = None, status: Statuses = None, task_type: TaskType = None, model: Model = None,
    worker: Worker = None, batch: OfBatch = None, user: User = None, since: Since = None, before: Before = None,
    search: Search = None, error: Code = None, everything: All = False, dry_run: DryRun = False, yes: Yes = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Cancel tasks.

    baton bulk cancel -s pending -m baton-diffusion
    """
    meant = chosen(ids, status, task_type, model, worker, batch, user, since, before, search, error, everything)
    _carry_out(
        context, "Cancel", dry_run, yes, as_json,
        lambda client, count: client.bulk_cancel(meant.ids, all=meant.all, dry_run=count, **meant.filters),
    )  # fmt: skip


@bulk.command()
def retry(
    context: typer.Context, ids: Ids = None, status: Statuses = None, task_type: TaskType = None, model: Model = None,
    worker: Worker = None, batch: OfBatch = None, user: User = None, since: Since = None, before: Before = None,
    search: Search = None, error: Code = None, everything: All = False, dry_run: DryRun = False, yes: Yes = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Try tasks that have ended again.

    Without --status those that failed or expired.

    baton bulk retry --error worker_lost --since 2h
    """
    meant = chosen(ids, status, task_type, model, worker, batch, user, since, before, search, error, everything)
    _carry_out(
        context, "Try again", dry_run, yes, as_json,
        lambda client, count: client.bulk_retry(meant.ids, all=meant.all, dry_run=count, **meant.filters),
    )  # fmt: skip


@bulk.command()
def delete(
    context: typer.Context, ids: Ids = None, status: Statuses = None, task_type: TaskType = None, model: Model = None,
    worker: Worker = None, batch: OfBatch = None, user: User = None, since: Since = None, before: Before = None,
    search: Search = None, error: Code = None, everything: All = False, dry_run: DryRun = False, yes: Yes = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Delete tasks that have ended, and their files.

    baton bulk delete --before 30d
    """
    meant = chosen(ids, status, task_type, model, worker, batch, user, since, before, search, error, everything)
    _carry_out(
        context, "Delete", dry_run, yes, as_json,
        lambda client, count: client.bulk_delete(meant.ids, all=meant.all, dry_run=count, **meant.filters),
    )  # fmt: skip


@bulk.command()
def priority(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="N", min=1, max=10, help="1 to 10, 10 is most urgent.")],
    ids: Ids = None, status: Statuses = None, task_type: TaskType = None, model: Model = None,
    worker: Worker = None, batch: OfBatch = None, user: User = None, since: Since = None, before: Before = None,
    search: Search = None, error: Code = None, everything: All = False, dry_run: DryRun = False, yes: Yes = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Give tasks that wait another priority.

    baton bulk priority 1 --user anna
    """
    meant = chosen(ids, status, task_type, model, worker, batch, user, since, before, search, error, everything)
    _carry_out(
        context, f"Give priority {number} to", dry_run, yes, as_json,
        lambda client, count: client.bulk_priority(number, meant.ids, all=meant.all, dry_run=count, **meant.filters),
    )  # fmt: skip


def _carry_out(context: typer.Context, verb: str, dry_run: bool, yes: bool, as_json: bool, call: Call) -> None:
    """Between the count and the deed tasks may come and go: what is done is what matches then."""
    if not (dry_run or yes or sys.stdin.isatty()):
        raise typer.BadParameter("There is nobody to ask here: say --yes, or --dry-run to see what it would do.")
    with connect(context, timeout=LONG) as client:
        if not (dry_run or yes) and not _agreed(verb, call(client, True)):
            note("Nothing was done.")
            raise typer.Exit(FAILED)
        done = call(client, dry_run)
    dump(done.raw) if as_json else say(_told(done))


def _agreed(verb: str, foreseen: Tally) -> bool:
    count = sum(_done(foreseen).values())
    note(_told(foreseen))
    return count > 0 and ask(f"{verb} {count} task{'' if count == 1 else 's'}? [y/N] ").lower() in ("y", "yes")


def _done(tally: Tally) -> dict[str, int]:
    """What was done, by word: `cancelled`, `retried`, …"""
    return {name: value for name, value in tally.raw.items() if type(value) is int and name != "matched"}


def _told(tally: Tally) -> str:
    done = ", ".join(f"{count} {WORDS.get(word, word)}" for word, count in _done(tally).items())
    skipped = ", ".join(
        f"{count} {WORDS.get(word, word.replace('_', ' '))}" for word, count in tally.skipped.items() if count
    )
    return f"{'Would be: ' if tally.dry_run else ''}{done}" + (f"; skipped: {skipped}" if skipped else "")
