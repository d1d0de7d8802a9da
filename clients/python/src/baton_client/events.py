"""Server-sent events: from bytes to events, and where a stream that was cut is to go on."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from baton_client.calls import part
from baton_client.errors import BatonError, Unauthenticated, UnexpectedAnswer
from baton_client.plans import Persistence, Request
from baton_client.reading import read
from baton_client.shapes.tasks import FINAL, Task

ENDS = frozenset({*(f"task.{status}" for status in FINAL), "task.deleted"})
SILENCE = 45.0  # seconds after which a connection is given up; the server sends a comment every 15
LASTED = 5.0  # seconds after which a connection was a good one, though it brought nothing: some proxies cut them all
CLOSED = "The server closed the stream of events before the task had ended."
CLOSED_OUT = "The server ended the stream of events: this key is not valid any more."
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR that ends the bytes at hand may be half of a CRLF


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task, or a piece of what it makes while it runs."""

    type: str  # task.created, task.progress, task.output.delta, …; the last is task.completed or another end
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""  # where it stands: `client.stream(task_id, after=event.id)` goes on behind it
    seq: int | None = None  # its number in the task's log, without a gap; live output has that of the event before it
    task_id: str = ""
    at: datetime | None = None

    @property
    def is_last(self) -> bool:
        return self.type in ENDS

    @property
    def text(self) -> str:
        """What a language model added to its answer; `data["offset"]` is how much of this attempt came before."""
        return str(self.data.get("text", "")) if self.type == "task.output.delta" else ""

    @property
    def task(self) -> Task | None:
        """The whole task, where the event brings it: at its end, and as the `snapshot` after a `gap`."""
        return read(Task, self.data) if "task_id" in self.data and "status" in self.data else None


class Parser:
    """Bytes in, events out, however the bytes were cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._id, self._data = "", "", list[str]()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        for line in lines:
            if line:
                self._take(line.decode("utf-8", errors="replace"))
            elif self._data:
                yield self._event()
            else:
                self._name = ""

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id":
            self._id = value

    def _event(self) -> Event:
        text, name = "\n".join(self._data), self._name
        self._data, self._name = [], ""
        try:
            body = json.loads(text)
        except ValueError:
            raise UnexpectedAnswer(f"The server sent an event that is no JSON: {text[:200]}") from None
        if not isinstance(body, dict):
            raise UnexpectedAnswer(f"The server sent an event that is no JSON object: {text[:200]}")
        if name == "closed":
            raise Unauthenticated(401, {"error": {"code": "unauthenticated", "message": CLOSED_OUT}})
        return read(Event, {"id": self._id, "type": name, **(body if "data" in body else {"data": body})})


class Late(Exception):
    """The time for which events were wanted is up."""


class Place:
    """Where a reader of one task's events is."""

    def __init__(self, task_id: str, after: str | int | None, timeout: float | None, patience: float) -> None:
        self._task_id, self._id = task_id, after
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._persistence = Persistence(patience)
        self._connected_at = math.inf
        self.is_over = False  # the last event was seen

    def request(self) -> Request:
        """Raises Late."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._id is not None:
            headers["Last-Event-ID"] = str(self._id)
        return Request("GET", f"/tasks/{part(self._task_id)}/events", headers=headers, patience=min(SILENCE, left))

    def connected(self) -> None:
        self._connected_at = time.monotonic()

    def saw(self, event: Event) -> None:
        """Notes where to go on from. Raises Late."""
        if time.monotonic() >= self._deadline and not event.is_last:
            raise Late
        self._persistence.succeeded()
        self._id = event.id or self._id
        self.is_over = event.is_last

    def pause(self, problem: BatonError) -> float:
        """Seconds until the next try. Raises Late, and the problem when patience is over."""
        now = time.monotonic()
        left = self._deadline - now
        if left <= 0:
            raise Late
        if now - self._connected_at >= LASTED:
            self._persistence.succeeded()
        self._connected_at = math.inf
        return min(left, self._persistence.pause(problem))
