"""Options that several commands share, and the client that they ask with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from baton_client.cli import words
from baton_client.client import Client

QUICK = 6.0  # seconds; a person who mistyped an address does not want to wait longer to be told
STUBBORN = 60.0  # seconds; while a task runs, a server that restarts is waited for

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, as the API gives it; errors as JSON on stderr.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The id of a task.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", "-t", parser=words.duration, metavar="TIME", help="Wait no longer: 90, 15m, 2h."),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PATH", help="Save images and audio as this file, or into this folder."),
]
TaskType = Annotated[
    str | None, typer.Option("--type", "-T", callback=words.optional_task_type, metavar="TYPE", help="Only this type.")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Shown to everybody who asks why.")]


@dataclass(frozen=True, slots=True)
class Connection:
    """The options before the command."""

    url: str | None = None
    api_key: str | None = None


def connect(context: typer.Context, patience: float = QUICK, timeout: float = 30.0) -> Client:
    found = context.obj if isinstance(context.obj, Connection) else Connection()
    return Client(found.url, found.api_key, patience=patience, timeout=timeout)
