"""`baton workers`, `drain`, `pause`, `resume`, `queues` and `models`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from baton_client.cli import words
from baton_client.cli.failures import TIMED_OUT
from baton_client.cli.options import Json, Reason, TaskType, Timeout, connect
from baton_client.cli.output import dump, note, say, table
from baton_client.client import Client
from baton_client.errors import BatonError
from baton_client.shapes.operations import Pause, Worker

LOOK = 0.5  # seconds between two looks at a worker that drains


class Kind(StrEnum):
    WORKER = "worker"
    QUEUE = "queue"
    MODEL = "model"
    ORGANIZATION = "organization"


KindArgument = Annotated[Kind, typer.Argument(help="What kind of thing. A queue is named as its task type.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name, as `baton workers`, `queues` or `models` shows it.")
]


class StillWorking(BatonError):
    pass


def workers(context: typer.Context, as_json: Json = False) -> None:
    """List the workers: alive, busy, and with which models."""
    with connect(context) as client:
        found = client.workers()
    if as_json:
        dump([worker.raw for worker in found])
    else:
        table(WORKER_COLUMNS, map(worker_row, found), "There is no worker.")


WORKER_COLUMNS = ("worker", "status", "state", ">tasks", ">slots", "device", ">memory", ">busy", "loaded models")


def worker_row(worker: Worker) -> tuple[object, ...]:
    gpu = worker.gpus[0] if worker.gpus else None
    memory = f"{gpu.memory_used_mib or 0}/{gpu.memory_total_mib} MiB" if gpu and gpu.memory_total_mib else ""
    busy = f"{gpu.utilization:.0f} %" if gpu and gpu.utilization is not None else ""
    loaded = ", ".join(model.name for each in worker.gpus for model in each.loaded_models)
    state = "quarantined" if worker.quarantine else "drained" if worker.drained else worker.state
    name = (gpu.name if gpu else None) or ""
    load = worker.active_tasks + worker.reserved_tasks
    return worker.name, worker.status, state, load, worker.slots, words.short(name, 28), memory, busy, loaded


def drain(
    context: typer.Context,
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="As `baton workers` names it.")],
    reason: Reason = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until nothing is left on it.")] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Then let its process end, too.")] = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Give a worker no new tasks; what runs on it finishes.

    `baton resume worker NAME` takes it back.
    """
    with connect(context) as client:
        shown = client.set_worker(worker, "retired" if retire else "draining", reason=reason)
        if wait:
            shown = _drained(client, worker, timeout)
    if as_json:
        dump(shown.raw)
    else:
        say(f"{shown.name}  {shown.state}, {'nothing is left on it' if shown.drained else _rest(shown)}")


def _drained(client: Client, name: str, timeout: float | None) -> Worker:
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        found = next((each for each in client.workers() if each.name == name), None)
        if found is None:
            raise StillWorking(f"Worker {name} has gone while it was drained.")
        if found.drained:
            return found
        if deadline is not None and time.monotonic() >= deadline:
            note(f"{name}  {_rest(found)}")
            raise typer.Exit(TIMED_OUT)
        time.sleep(LOOK)


def _rest(worker: Worker) -> str:
    return f"{worker.active_tasks + worker.reserved_tasks} tasks still on it"


def pause(
    context: typer.Context,
    kind: KindArgument,
    name: Name,
    reason: Reason = "",
    for_: Annotated[
        float | None,
        typer.Option("--for", parser=words.duration, metavar="TIME", help="Goes on by itself after 30m, 2h, …"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start no new tasks on a worker, or of a queue or model, for now.

    What runs goes on. An organization can be paused, too.

    baton pause queue stable_diffusion --for 30m --reason "new driver"\n
    baton pause worker gpu-a-0
    """
    if kind is Kind.WORKER and for_ is not None:
        raise typer.BadParameter(
            "--for is for queues, models and organizations; a worker is paused until it is resumed."
        )
    with connect(context) as client:
        if kind is Kind.WORKER:
            shown: Worker | Pause = client.set_worker(name, "paused", reason=reason)
        else:
            until = None if for_ is None else datetime.now(UTC) + timedelta(seconds=for_)
            shown = client.pause(kind, name, reason=reason, until=until)
    dump(shown.raw) if as_json else say(f"{kind} {name}  paused")


def resume(context: typer.Context, kind: KindArgument, name: Name) -> None:
    """Let what is paused or drained go on.

    Ends a worker's quarantine, too.
    """
    with connect(context) as client:
        if kind is Kind.WORKER:
            client.set_worker(name, "active")
        else:
            client.resume(kind, name)
    say(f"{kind} {name}  goes on")


def queues(context: typer.Context, as_json: Json = False) -> None:
    """List the queues, and what is paused."""
    with connect(context) as client:
        found, pauses = client.queues(), client.pauses()
    if as_json:
        dump({"results": [queue.raw for queue in found], "paused": [each.raw for each in pauses]})
        return
    rows = ((q.name, q.length, words.seconds(q.oldest_seconds), q.running, told(q.paused)) for q in found)
    table(("queue", ">waiting", ">oldest", ">running", "paused"), rows, "There is no queue.")
    for each in pauses:
        if each.kind != Kind.QUEUE:
            say(f"{each.kind} {each.name} is paused {told(each)}")


def told(pause: Pause | None) -> str:
    if pause is None:
        return ""
    until = f" until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until else ""
    return f"by {pause.by}{until}{f': {pause.reason}' if pause.reason else ''}"


def models(context: typer.Context, task_type: TaskType = None, as_json: Json = False) -> None:
    """List the models; * marks the default of its type."""
    with connect(context) as client:
        found = client.models(task_type)
    if as_json:
        dump([model.raw for model in found])
        return
    rows = ((("*" if m.is_default else " ") + m.name, m.task_type, words.short(m.description, 90)) for m in found)
    table((" model", "type", "what it is"), rows, "There is no model.")
