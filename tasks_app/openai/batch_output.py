"""The files of a batch that has ended: answers in one, what went wrong in the other, a line for each request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from django.http import HttpRequest

from tasks_app import artifacts
from tasks_app.api.renderers import to_json
from tasks_app.models import FilePurpose, OpenAIBatch, Task
from tasks_app.openai import files, render
from tasks_app.openai.batch_input import CUSTOM_ID
from tasks_app.openai.failures import failure_of
from tasks_app.openai.ids import BATCH, REQUEST, shown
from tasks_app.outcomes import StoredArtifact
from tasks_app.states import Status

CHUNK = 500  # tasks that are in memory at the same time
ANSWERS = {"/v1/chat/completions": render.chat_completion, "/v1/completions": render.completion}
NEVER_RUN = {
    Status.EXPIRED: {"code": "batch_expired", "message": "It did not start before the completion window was over."},
    Status.CANCELLED: {"code": "batch_cancelled", "message": "It was cancelled."},
}


@dataclass(frozen=True, slots=True)
class Output:
    """Stored files, or None where there would be no line in it, and the tokens of all answers."""

    answers: StoredArtifact | None
    errors: StoredArtifact | None
    input_tokens: int
    output_tokens: int

    @property
    def names(self) -> list[str]:
        return [stored.file for stored in (self.answers, self.errors) if stored is not None]

    def enter(self, row: OpenAIBatch) -> dict[str, Any]:
        """The rows of the files, in the caller's transaction; what the batch's row says of them."""
        said: dict[str, Any] = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        for column, stored, kind in (
            ("output_file_id", self.answers, "output"),
            ("error_file_id", self.errors, "error"),
        ):
            if stored is not None:
                name = f"{shown(BATCH, row.pk)}_{kind}.jsonl"
                said[column] = files.enter(stored, row.organization, name, FilePurpose.BATCH_OUTPUT).pk
        return said


@contextmanager
def written(row: OpenAIBatch) -> Iterator[Output]:
    """OSError when the storage cannot take them."""
    with TemporaryDirectory(prefix="baton-batch-") as directory:
        answers, errors = Path(directory) / "answers", Path(directory) / "errors"
        with answers.open("wb") as good, errors.open("wb") as bad:
            read, made = _write(row, good, bad)
        yield Output(_stored(answers, row), _stored(errors, row), read, made)


def _write(row: OpenAIBatch, good: IO[bytes], bad: IO[bytes]) -> tuple[int, int]:
    """The tokens that were read and made."""
    read = made = 0
    for task in Task.objects.filter(batch_id=row.batch_id).order_by("pk").iterator(CHUNK):
        line = _line(task, row.endpoint)
        (good if task.status == Status.COMPLETED else bad).write(to_json(line) + b"\n")
        read += task.input_tokens or 0
        made += task.output_tokens or 0
    return read, made


def _line(task: Task, endpoint: str) -> dict[str, Any]:
    line = {"id": shown(REQUEST, task.pk), "custom_id": task.metadata[CUSTOM_ID], "response": None, "error": None}
    status = Status(task.status)
    if status in NEVER_RUN:
        return {**line, "error": NEVER_RUN[status]}
    if status == Status.COMPLETED:
        return {**line, "response": _response(task, 200, ANSWERS[endpoint](task))}
    failure = failure_of(task)
    return {**line, "response": _response(task, failure.status, failure.body(HttpRequest()))}


def _response(task: Task, status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": str(task.pk), "body": body}


def _stored(path: Path, row: OpenAIBatch) -> StoredArtifact | None:
    return artifacts.store_file(path, files.JSONL, row.organization_id) if path.stat().st_size else None
