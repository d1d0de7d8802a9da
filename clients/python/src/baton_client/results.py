"""The results of a batch on their way: from JSON lines to tasks, each once, however often the answer was cut."""

from __future__ import annotations

import json
from collections.abc import Iterator

from baton_client.calls import part
from baton_client.errors import BatonError, UnexpectedAnswer, Unreachable
from baton_client.plans import Persistence, Request
from baton_client.reading import read
from baton_client.shapes.tasks import Task

CUT = "The server closed the results of the batch in the middle of a line."


class Results:
    """Ask for `request()` until it `is_whole`, and `feed` what arrives."""

    def __init__(self, batch_id: str, patience: float) -> None:
        self._batch_id = batch_id
        self._persistence = Persistence(patience)
        self._seen = set[str]()
        self._rest = b""
        self.is_whole = False

    def request(self) -> Request:
        self._rest = b""
        headers = {"Accept": "application/x-ndjson"}
        return Request("GET", f"/tasks/batch/{part(self._batch_id)}/results", headers=headers)

    def feed(self, chunk: bytes) -> Iterator[Task]:
        """Those that were not seen before."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for task in map(_task, filter(None, lines)):
            if task.task_id not in self._seen:
                self._seen.add(task.task_id)
                self._persistence.succeeded()
                yield task

    def end(self) -> None:
        """The answer has ended as an answer should. Raises Unreachable if its last line did not."""
        if self._rest:
            raise Unreachable(CUT)
        self.is_whole = True

    def pause(self, problem: BatonError) -> float:
        """Seconds until the next try. Raises the problem when patience is over."""
        return self._persistence.pause(problem)


def _task(line: bytes) -> Task:
    try:
        return read(Task, json.loads(line))
    except ValueError:
        raise UnexpectedAnswer(f"The server sent a result that is no JSON: {line[:200]!r}") from None
