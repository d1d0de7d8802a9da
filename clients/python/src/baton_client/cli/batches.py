"""`baton batch …`: many tasks from a file, and their results into one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from baton_client.cli import words
from baton_client.cli.failures import FAILED, INTERRUPTED, OK
from baton_client.cli.options import STUBBORN, Json, Timeout, connect
from baton_client.cli.output import console, dump, note, pairs, say
from baton_client.client import Client
from baton_client.errors import WaitTimeout
from baton_client.shapes.many import Batch, RetriedBatch

LOOK = 0.5  # seconds between two looks, where somebody watches a bar
batch = typer.Typer(help="Many tasks at once, from a file.", no_args_is_help=True)
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="The id of a batch.")]


@batch.command()
def submit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A task as JSON a line, or one JSON array; - is stdin.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until all of it has ended.")] = False,
    timeout: Timeout = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Kept with the batch.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Your name for it: said twice, it is made once.")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Submit the tasks of a file, all or none; prints the batch's id.

    A line looks like {"task_type": "llm", "input": {"prompt": "One."}, "parameters": {"seed": 1}}.
    """
    tasks = _read(file)
    with connect(context) as client:
        made = client.submit_batch(tasks, metadata=words.texts(metadata), idempotency_key=idempotency_key)
        if not wait:
            dump(made.raw) if as_json else say(made.batch_id)
            return
        note(f"batch {made.batch_id}")
        raise typer.Exit(_await(client, made.batch_id, timeout, as_json))


@batch.command()
def status(context: typer.Context, batch_id: BatchId, as_json: Json = False) -> None:
    """Show how far a batch is."""
    with connect(context) as client:
        found = client.batch(batch_id)
    dump(found.raw) if as_json else _show(found)


@batch.command()
def wait(context: typer.Context, batch_id: BatchId, timeout: Timeout = None, as_json: Json = False) -> None:
    """Wait until all of a batch has ended. Exit status 1 if some of it did not complete."""
    with connect(context, STUBBORN) as client:
        raise typer.Exit(_await(client, batch_id, timeout, as_json))


@batch.command()
def results(
    context: typer.Context,
    batch_id: BatchId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Save the files of the tasks in here, too.")
    ] = None,
) -> None:
    """Print the tasks of a batch that have ended, one JSON a line.

    In the order in which they were submitted.
    """
    with connect(context) as client:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        for task in client.batch_results(batch_id):
            sys.stdout.write(json.dumps(task.raw, ensure_ascii=False) + "\n")
            if output is not None:
                client.save(task, output)


@batch.command()
def cancel(context: typer.Context, batch_id: BatchId, as_json: Json = False) -> None:
    """Cancel all of a batch that has not ended."""
    with connect(context) as client:
        done = client.cancel_batch(batch_id)
    if as_json:
        dump(done.raw)
    else:
        say(f"{done.cancelled} cancelled, {done.cancelling} being stopped, {done.already_finished} had finished")


@batch.command()
def retry(context: typer.Context, batch_id: BatchId, as_json: Json = False) -> None:
    """Try what failed or expired again, as a new batch; prints its id.

    What was retried before is left out. Exit status 1 if there was nothing to try again.
    """
    with connect(context) as client:
        made = client.retry_batch(batch_id)
    if as_json:
        dump(made.raw)
    elif made.batch_id is not None:
        say(made.batch_id)
    if made.batch_id is None:
        note("Nothing of it failed or expired" + (", but for what was retried before." if _known(made) else "."))
        raise typer.Exit(FAILED)


def _known(made: RetriedBatch) -> bool:
    return made.skipped.get("already_retried", 0) > 0


def _await(client: Client, batch_id: str, timeout: float | None, as_json: bool) -> int:
    client.patience = STUBBORN
    try:
        ended = _watched(client, batch_id, timeout) if sys.stderr.isatty() else client.wait_batch(batch_id, timeout)
    except KeyboardInterrupt:
        note(f"\nThe batch goes on. `baton batch cancel {batch_id}` ends it.")
        return INTERRUPTED
    dump(ended.raw) if as_json else _show(ended)
    return OK if ended.counts.get("completed") == ended.total else FAILED


def _watched(client: Client, batch_id: str, timeout: float | None) -> Batch:
    """With a bar on stderr."""
    left = timeout
    with Progress(console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task("tasks ended", total=None)
        while True:
            try:
                return client.wait_batch(batch_id, LOOK if left is None else min(LOOK, left))
            except WaitTimeout as error:
                found = error.last_seen
                assert isinstance(found, Batch)
                progress.update(bar, completed=found.progress.ended, total=found.total)
                left = None if left is None else left - LOOK
                if left is not None and left <= 0:
                    raise


def _show(found: Batch) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in found.counts.items() if count)
    ended = f"{found.progress.ended} of {found.total} ({found.progress.fraction:.0%})"
    metadata = ", ".join(f"{name}={value}" for name, value in found.metadata.items()) or None
    pairs({"batch": found.batch_id, "ended": ended, "counts": counts, "metadata": metadata})


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None
    if text.lstrip().startswith("["):
        return list(_parsed(text, str(file)))
    return list(_lines(text, file))


def _lines(text: str, file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parsed(line, f"{file}, line {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return words.strict_json(text)
    except ValueError as error:
        raise typer.BadParameter(f"{where} is not JSON: {error}") from None
