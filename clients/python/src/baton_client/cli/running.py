"""`baton run`, `submit` and `watch`: from an input to a result."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from baton_client.calls import completed
from baton_client.cli.asking import (
    Attempts,
    ExecutionTimeout,
    Inputs,
    Key,
    Main,
    Metadata,
    Model,
    Parameters,
    Priority,
    StartTimeout,
    Type,
    Webhook,
    fields_of,
    input_of,
)  # fmt: skip
from baton_client.cli.failures import INTERRUPTED
from baton_client.cli.following import follow, interrupted
from baton_client.cli.options import STUBBORN, Json, Output, TaskId, Timeout, connect
from baton_client.cli.output import dump, note, say, write
from baton_client.client import Client
from baton_client.errors import WaitTimeout
from baton_client.shapes.tasks import Task


def submit(
    context: typer.Context, task_type: Type, text: Main = None, model: Model = None, param: Parameters = None,
    more_input: Inputs = None, priority: Priority = None, max_attempts: Attempts = None,
    start_timeout: StartTimeout = None, execution_timeout: ExecutionTimeout = None, metadata: Metadata = None,
    webhook: Webhook = None, idempotency_key: Key = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Submit a task and print its id, without waiting for it.

    baton submit image "a red circle" -p seed=42      prints the id\n
    baton watch ID                                    follows it\n
    baton get ID -o picture.png                       saves what it made
    """
    fields = fields_of(model, param, priority, max_attempts, start_timeout, execution_timeout, metadata, webhook)
    with connect(context) as client:
        task = client.submit(
            task_type, input_of(client, task_type, text, more_input), idempotency_key=idempotency_key, **fields
        )
    dump(task.raw) if as_json else say(task.task_id)


def run(
    context: typer.Context, task_type: Type, text: Main = None, model: Model = None, param: Parameters = None,
    more_input: Inputs = None, output: Output = None, timeout: Timeout = None, priority: Priority = None,
    max_attempts: Attempts = None, start_timeout: StartTimeout = None, execution_timeout: ExecutionTimeout = None,
    metadata: Metadata = None, webhook: Webhook = None, idempotency_key: Key = None,
    keep: Annotated[bool, typer.Option("--keep", help="Ctrl-C does not cancel the task, only stop waiting.")] = False,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Text as it comes; the default at a terminal.")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Submit a task, wait for it and print or save its result.

    baton run chat "Tell me a story." -p max_new_tokens=60\n
    baton run image "a red circle" -p seed=42 -o circle.png\n
    baton run speech "Hello world." -o hello.wav\n
    baton run caption circle.png

    Text goes to stdout, as it comes at a terminal. Images and audio are saved as --output says, or into this folder
    under the task's id, and their paths are printed. Ctrl-C cancels the task.
    """
    fields = fields_of(model, param, priority, max_attempts, start_timeout, execution_timeout, metadata, webhook)
    with connect(context) as client:
        made = client.submit(
            task_type, input_of(client, task_type, text, more_input), idempotency_key=idempotency_key, **fields
        )
        client.patience = STUBBORN
        streams = not as_json and (sys.stdout.isatty() if stream is None else stream)
        try:
            task = follow(client, made.task_id, timeout, streams)
        except KeyboardInterrupt:
            raise typer.Exit(interrupted(client, made.task_id, keep)) from None
        except WaitTimeout:
            note(f"Task {made.task_id}:")
            raise
        finish(client, task, output, as_json, text_is_shown=streams)


def watch(
    context: typer.Context, task_id: TaskId, output: Output = None, timeout: Timeout = None, as_json: Json = False
) -> None:
    """Follow a task to its end, then print or save its result.

    With --json every event is a line of JSON. Ctrl-C stops watching; the task goes on.
    """
    with connect(context, STUBBORN) as client:
        try:
            if as_json:
                for event in client.stream(task_id, timeout=timeout):
                    write(
                        json.dumps({"id": event.id, "type": event.type, "data": event.data}, ensure_ascii=False) + "\n"
                    )
                completed(client.wait(task_id, timeout))
                return
            client.get(task_id)
            finish(
                client, follow(client, task_id, timeout, stream=sys.stdout.isatty()), output, False, sys.stdout.isatty()
            )
        except KeyboardInterrupt:
            note(f"\nTask {task_id} goes on.")
            raise typer.Exit(INTERRUPTED) from None


def finish(client: Client, task: Task, output: Path | None, as_json: bool, text_is_shown: bool = False) -> None:
    """The result of a task that has ended. Raises TaskNotCompleted."""
    if as_json:
        dump(task.raw)
    completed(task)
    if output is not None and not task.artifacts:
        if task.text is not None:
            output.write_text(task.text + "\n", encoding="utf-8")
            note(f"saved {output}")
        return
    if task.artifacts and (output is not None or not as_json):
        for path in client.save(task, output or Path.cwd()):
            note(f"saved {path}") if as_json else say(str(path))
    if task.text is not None and not (as_json or text_is_shown):
        say(task.text)
