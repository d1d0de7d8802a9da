"""`baton top`: workers, queues and what runs, drawn again and again."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from baton_client.cli import words
from baton_client.cli.failures import OK
from baton_client.cli.following import painted
from baton_client.cli.operating import WORKER_COLUMNS, told, worker_row
from baton_client.cli.options import Json, connect
from baton_client.cli.output import console, dump, grid
from baton_client.client import Client
from baton_client.errors import ApiError, Unreachable
from baton_client.shapes.tasks import Task

LOOK_TIME = 5.0  # seconds until a look is given up
SHOWN = 15  # running tasks; a screen has room for no more


def top(
    context: typer.Context,
    interval: Annotated[float, typer.Option("--interval", "-i", min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Draw it once and end; the default without a terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Watch workers, queues and running tasks live. Ctrl-C ends it."""
    screen = console()
    with connect(context, timeout=LOOK_TIME) as client:
        if as_json:
            dump(snapshot(client))
        elif once or not screen.is_terminal:
            screen.print(drawn(client, screen.width))
        else:
            client.patience = 0.0  # a look that fails says so, and the next one is soon
            _live(client, screen, interval)


def _live(client: Client, screen: Any, interval: float) -> None:
    try:
        with Live(Text("…"), console=screen, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_view(client, screen.width), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        raise typer.Exit(OK) from None


def _view(client: Client, width: int) -> RenderableType:
    """A server that is away is no reason to end."""
    try:
        return drawn(client, width)
    except (Unreachable, ApiError) as error:
        if isinstance(error, ApiError) and error.status not in (429, 502, 503, 504):
            raise
        return Text(f"{datetime.now():%H:%M:%S}  {error}", style="red")


def drawn(client: Client, width: int) -> Group:
    health, running = client.health(), _running(client)
    head = Text(f"{datetime.now():%H:%M:%S}  {client.credentials.url}  {health['status']}, ")
    head.append(f"{health['online_workers']} of {health['total_workers']} workers online")
    queues = ((q.name, q.length, words.seconds(q.oldest_seconds), q.running, told(q.paused)) for q in client.queues())
    return Group(
        head,
        Text(),
        grid(WORKER_COLUMNS, map(worker_row, client.workers()), width),
        Text(),
        grid(("queue", ">waiting", ">oldest", ">running", "paused"), queues, width),
        Text(),
        grid(("task", "model", "status", ">step", ">for", "worker", "input"), map(_row, running), width),
    )


def _running(client: Client) -> list[Task]:
    return list(client.list(limit=SHOWN, status=["running", "cancelling"]))


def _row(task: Task) -> tuple[object, ...]:
    progress = f"{task.progress.step}/{task.progress.total_steps}" if task.progress else task.phase or ""
    text = words.short(str(next(iter(task.input.values()), "")), 40)
    return (
        task.task_id, task.model, painted(task.status), progress, words.age(task.started_at), task.worker_id or "", text
    )  # fmt: skip


def snapshot(client: Client) -> dict[str, Any]:
    return {
        "health": client.health(),
        "workers": [worker.raw for worker in client.workers()],
        "queues": [queue.raw for queue in client.queues()],
        "running": [task.raw for task in _running(client)],
    }
