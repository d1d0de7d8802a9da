"""`baton get`, `ls`, `cancel`, `retry`, `priority` and `explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from baton_client.calls import Filters
from baton_client.cli import failures, words
from baton_client.cli.following import painted
from baton_client.cli.options import Json, Output, TaskId, TaskType, connect
from baton_client.cli.output import dump, note, pairs, safe, say, table
from baton_client.errors import AlreadyFinished
from baton_client.shapes.tasks import Task

TaskIds = Annotated[list[str], typer.Argument(metavar="TASK...", help="Ids of tasks.")]


def get(context: typer.Context, task_id: TaskId, output: Output = None, as_json: Json = False) -> None:
    """Show a task and its result.

    baton get ID -o picture.png    also saves the files that it made
    """
    with connect(context) as client:
        task = client.get(task_id)
        if as_json:
            dump(task.raw)
        else:
            _show(task)
        if output is not None:
            for path in client.save(task, output):
                note(f"saved {path}")


def _show(task: Task) -> None:
    timings, progress = task.timings, task.progress
    error = f"{task.error.code}: {task.error.message}" if task.error else None
    pairs(
        {
            "task": task.task_id,
            "type": f"{task.task_type}, model {task.model}",
            "status": f"{task.status}{f' ({task.phase})' if task.phase else ''}",
            "progress": f"step {progress.step} of {progress.total_steps}" if progress and not task.has_ended else None,
            "error": error,
            "cancelled": task.cancellation.mode if task.cancellation else None,
            "attempt": f"{task.attempt} of {task.max_attempts}" + (f" on {task.worker_id}" if task.worker_id else ""),
            "created": f"{task.created_at:%Y-%m-%d %H:%M:%S} UTC, {words.age(task.created_at)} ago",
            "waited": words.seconds(timings.queue_seconds) or None,
            "loading": words.seconds(timings.model_load_seconds) if timings.model_load_seconds else None,
            "inference": words.seconds(timings.inference_seconds) or None,
            "metadata": ", ".join(f"{name}={value}" for name, value in task.metadata.items()) or None,
            "batch": task.batch_id,
            "retry of": task.retry_of,
            "input": words.short(str(next(iter(task.input.values()), "")), 100),
            "text": task.text,
        }
    )
    for artifact in task.artifacts:
        say(f"file: {artifact.content_type}, {artifact.size_bytes} bytes, {artifact.uri}")


def ls(
    context: typer.Context,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", "-s", help="pending, running, failed, …; again for more. Celery's words do too."),
    ] = None,
    task_type: TaskType = None,
    model: Annotated[str | None, typer.Option("--model", "-m")] = None,
    worker: Annotated[str | None, typer.Option("--worker", "-w")] = None,
    batch: Annotated[str | None, typer.Option("--batch", "-b", help="Of this batch.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Not older than 2h, or than a time.")] = None,
    search: Annotated[str | None, typer.Option("--search", "-q", help="In the input, or an id's beginning.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    ids: Annotated[bool, typer.Option("--ids", help="Only ids, one a line: for xargs.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List tasks, newest first.

    baton ls -s failed --since 1d\n
    baton ls -s pending --ids | xargs baton cancel
    """
    given = {
        "status": status, "task_type": task_type, "model": model, "worker_id": worker, "batch_id": batch,
        "created_after": words.moment(since) if since else None, "q": search,
    }  # fmt: skip
    filters: Filters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    with connect(context) as client:
        tasks = list(client.list(limit=limit, **filters))
    if as_json:
        dump([task.raw for task in tasks])
    elif ids:
        for task in tasks:
            say(task.task_id)
    else:
        columns = ("task", "status", "model", ">age", ">ran", "worker", "input")
        table(columns, map(_row, tasks), "No task matches.")


def _row(task: Task) -> tuple[object, ...]:
    text = words.short(str(next(iter(task.input.values()), "")), 80)
    ran = words.seconds(task.timings.inference_seconds)
    age = words.age(task.created_at)
    return task.task_id, painted(task.status), task.model, age, ran, task.worker_id or "", text


def cancel(
    context: typer.Context,
    task_ids: TaskIds,
    wait: Annotated[int, typer.Option("--wait", min=0, max=30, help="Seconds to wait for each to stop.")] = 10,
    as_json: Json = False,
) -> None:
    """Cancel tasks, and say what became of each. One that had ended already is exit status 1."""
    status = failures.OK
    with connect(context) as client:
        for task_id in task_ids:
            try:
                task = client.cancel(task_id, wait=wait)
            except AlreadyFinished as error:
                note(f"{task_id}  {safe(str(error))}")
                status = failures.FAILED
            else:
                dump(task.raw) if as_json else say(f"{task.task_id}  {task.status}")
    raise typer.Exit(status)


def retry(context: typer.Context, task_ids: TaskIds, as_json: Json = False) -> None:
    """Try tasks that have ended again; prints the ids of the new ones."""
    with connect(context) as client:
        for task_id in task_ids:
            task = client.retry(task_id)
            dump(task.raw) if as_json else say(task.task_id)


def priority(
    context: typer.Context,
    task_id: TaskId,
    number: Annotated[int, typer.Argument(metavar="N", min=1, max=10, help="1 to 10, 10 is most urgent.")],
    as_json: Json = False,
) -> None:
    """Give a task that waits another priority."""
    with connect(context) as client:
        task = client.set_priority(task_id, number)
    dump(task.raw) if as_json else say(f"{task.task_id}  priority {task.priority}")


def explain(context: typer.Context, task_id: TaskId, as_json: Json = False) -> None:
    """Say why a task waits, its place in line, and when it may start."""
    with connect(context) as client:
        told = client.explain(task_id)
    if as_json:
        dump(told.raw)
        return
    start, position = told.estimated_start, told.position
    between = [f"{each:%H:%M:%S}" for each in (start.earliest, start.latest) if each] if start else []
    say(told.message or f"It does not wait ({told.reason}).")
    pairs(
        {
            "reason": told.reason,
            "position": f"{position.overall} of all, {position.own} of your own" if position else None,
            "behind": f"more than {told.more_than} of its own queue" if told.more_than else None,
            "start": " to ".join(dict.fromkeys(between)) + " UTC, as estimated" if between else None,
        }
    )
