"""A task while it is waited for: its text as it comes on stdout, its progress on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from baton_client.cli import failures
from baton_client.cli.output import console, note, safe, write
from baton_client.client import Client
from baton_client.errors import AlreadyFinished
from baton_client.events import Event
from baton_client.shapes.tasks import Task

STOP_WAIT = 10  # seconds that Ctrl-C waits for a task to stop


def follow(client: Client, task_id: str, timeout: float | None, stream: bool) -> Task:
    """The task when it has ended, however. `stream`: show its text as it comes. Raises WaitTimeout."""
    if not (stream or sys.stderr.isatty()):
        return client.wait(task_id, timeout)
    with Screen(stream) as screen:
        for event in client.stream(task_id, timeout=timeout):
            screen.show(event)
        task = client.wait(task_id, timeout)
        screen.close(task)
        return task


class Screen:
    """The progress line disappears when text begins, or at the end."""

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._typed = ""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )
        self._line = self._progress.add_task("waits", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._typed and not self._typed.endswith("\n"):
            write("\n")

    def show(self, event: Event) -> None:
        if event.text and self._stream:
            self._progress.stop()
            self._add(event.text, event.data.get("offset", len(self._typed)))
        elif event.type == "task.progress":
            self._advance(event)
        elif event.type in WORDS:
            worker = event.data.get("worker_id") if event.type in ("task.dispatched", "task.started") else None
            where = f" on {safe(str(worker))}" if worker else ""
            self._progress.update(self._line, description=WORDS[event.type] + where)

    def _advance(self, event: Event) -> None:
        step, total = event.data.get("step"), event.data.get("total_steps")
        if step is not None and total:
            self._progress.update(self._line, description=f"step {step} of {total}", completed=step, total=total)

    def _add(self, text: str, offset: int) -> None:
        """`offset`: how much of this attempt's text came before."""
        if self._typed and offset == 0:
            note("\nThat attempt was lost; the text begins again.")
            self._typed = ""
        if offset == len(self._typed):  # else some of it was missed, and all of it will be there at the end
            self._type(text)

    def _type(self, text: str) -> None:
        self._typed += text
        write(safe(text) if sys.stdout.isatty() else text)

    def close(self, task: Task) -> None:
        """What of the text was not seen yet; a text that turned out another one is written in whole."""
        self._progress.stop()
        text = task.text
        if not self._stream or text is None:
            return
        if not text.startswith(self._typed):
            note("\nThe whole text is:")
            self._typed = ""
        self._type(text[len(self._typed) :])


WORDS = {
    "task.created": "waits",
    "task.dispatched": "is handed over",
    "task.started": "runs",
    "task.retrying": "waits for another attempt",
    "task.requeued": "waits again",
    "task.cancelling": "is being stopped",
}


def interrupted(client: Client, task_id: str, keep: bool) -> int:
    """After Ctrl-C: cancels the task, unless it is to go on. A second Ctrl-C does not wait for the stop."""
    if keep:
        note(f"\nTask {task_id} goes on. `baton watch {task_id}` shows it, `baton cancel {task_id}` ends it.")
        return failures.INTERRUPTED
    note(f"\nCancelling task {task_id} (Ctrl-C again: do not wait for it) …")
    with suppress(KeyboardInterrupt):
        try:
            task = client.cancel(task_id, wait=STOP_WAIT)
        except AlreadyFinished as error:
            note(safe(str(error)))
        else:
            note("Cancelled." if task.status == "cancelled" else "It is being stopped; the stop is not confirmed yet.")
    return failures.INTERRUPTED


def painted(status: str) -> Text:
    colours = {"completed": "green", "failed": "red", "expired": "red", "cancelled": "yellow", "cancelling": "yellow"}
    return Text(status, style=colours.get(status, "cyan" if status == "running" else ""))
