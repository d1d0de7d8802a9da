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
from baton_client.errors import BatonError, UnexpectedAnswer
from baton_client.plans import Persistence, Request
from baton_client.reading import read
from baton_client.shapes.tasks import FINAL, Task

ENDS = frozenset(f"task.{status}" for status in FINAL)
SILENCE = 45.0  # seconds after which a connection is given up; the server sends a comment every 15
CLOSED = "The server closed the stream of events before the task had ended."
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR that ends the bytes at hand may be half of a CRLF


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task. `seq` counts without a gap, but for what a `gap` event says is missing."""

    type: str  # task.created, task.progress, task.output.delta, …; the last is task.completed or another end
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int | None = None
    task_id: str = ""
    at: datetime | None = None

    @property
    def is_last(self) -> bool:
        return self.type in ENDS

    @property
    def text(self) -> str:
        """What a language model added to its answer."""
        return str(self.data.get("text", "")) if self.type == "task.output.delta" else ""

    @property
    def task(self) -> Task | None:
        """The whole task, where the event brings it: at its end, and as the snapshot after a gap."""
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
        if isinstance(body, dict) and "type" in body and "data" in body:
            event = read(Event, body)
            return event if isinstance(event.data, Mapping) else Event(event.type, {}, event.seq)
        seq = int(self._id) if self._id.isdigit() else None
        return Event(name or "message", body if isinstance(body, dict) else {}, seq)


class Late(Exception):
    """The time for which events were wanted is up."""


class Place:
    """Where a reader of one task's events is."""

    def __init__(self, task_id: str, after: int | None, timeout: float | None, patience: float) -> None:
        self._task_id, self._seq = task_id, after
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._persistence = Persistence(patience)
        self.ended = False  # the last event was seen
        self.is_over = False  # nothing is to come, whether or not there was a last event

    def request(self) -> Request:
        """Raises Late."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._seq is not None:
            headers["Last-Event-ID"] = str(self._seq)
        return Request("GET", f"/tasks/{part(self._task_id)}/events", headers=headers, patience=min(SILENCE, left))

    def is_new(self, event: Event) -> bool:
        """Notes where to go on from. An event that was seen before the connection was lost is not new. Raises Late."""
        if time.monotonic() >= self._deadline:
            raise Late
        self._persistence.succeeded()
        if event.seq is not None:
            if self._seq is not None and event.seq <= self._seq:
                return False
            self._seq = event.seq
        self.ended = event.is_last
        self.is_over = event.is_last or event.data.get("status") in FINAL
        return True

    def pause(self, problem: BatonError) -> float:
        """Seconds until the next try. Raises Late, and the problem when patience is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late
        return min(left, self._persistence.pause(problem))
