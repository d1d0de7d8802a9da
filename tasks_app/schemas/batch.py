"""The body of `POST /tasks/batch/`, and from it to a stored batch: all of its tasks, or none.

Raises InvalidTasks with what is wrong with each; else as `submission`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app import artifacts, batches, idempotency
from tasks_app.batches import MAX_TASKS, NewBatch
from tasks_app.capability import NoCapableWorker
from tasks_app.idempotency import Key
from tasks_app.models import Batch
from tasks_app.schemas import submission
from tasks_app.schemas.problems import first_problem
from tasks_app.schemas.strict import ListOf, Metadata, Strict
from tasks_app.services import NewTask
from tenants_app.identity import Identity

LISTED = 20  # problems; who has more of them has one mistake in many places


class TaskBody(serializers.Field[Any, Any, Any, Any]):
    """Taken as it is: what is wrong inside is told by the task's number."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class BatchRequest(Strict):
    tasks = ListOf(TaskBody(allow_null=True), 1, MAX_TASKS, help_text="Bodies as of `POST /tasks/`.")
    metadata = Metadata(default=dict, help_text="Of the batch. Text by name: at most 50 keys and 16 KiB.")


BATCH_REQUEST = BatchRequest()


@dataclass(frozen=True, slots=True)
class Problem:
    param: str  # tasks[17].parameters.width
    message: str


class InvalidTasks(Exception):
    """`problems` are the first of `count`, one a task."""

    def __init__(self, problems: Sequence[Problem], count: int) -> None:
        super().__init__()
        self.problems, self.count = problems, count


@dataclass(frozen=True, slots=True)
class Submitted:
    """`replayed`: an earlier request with the same key made it."""

    batch: Batch
    replayed: bool


def submit_once(identity: Identity, data: Any, key: Key | None) -> Submitted:
    """A batch that was not stored, or had been before, leaves no file behind."""
    if key is not None and (first := idempotency.find(key)):
        return Submitted(Batch.objects.get(pk=first), replayed=True)
    asked = BATCH_REQUEST.run_validation(data)
    new = NewBatch(metadata=asked["metadata"])
    files: list[str] = []
    with artifacts.discarded_on_failure(files):
        tasks = _accept_all(identity, asked["tasks"], files)
        batch = batches.submit(identity, new, tasks, key)
    replayed = batch.id != new.id
    if replayed:
        artifacts.discard(files)
    return Submitted(batch, replayed)


def _accept_all(identity: Identity, bodies: Iterable[Any], files: list[str]) -> list[NewTask]:
    """`files` grows by those that are stored for them."""
    tasks: list[NewTask] = []
    problems: list[Problem] = []
    count = 0
    for number, body in enumerate(bodies):
        try:
            new = submission.accept(identity, body)
        except ValidationError as error:
            path, predicate = first_problem(error.detail)
        except submission.ModelNotFound as error:
            path, predicate = "model", f"is not known: {error}"
        except NoCapableWorker as error:
            path, predicate = "model", f"can be run by nobody: {error}"
        else:
            tasks.append(new)
            files += [stored.file for stored in new.input_artifacts]
            continue
        count += 1
        if len(problems) < LISTED:
            problems.append(_problem(number, path, predicate))
    if problems:
        raise InvalidTasks(problems, count)
    return tasks


def _problem(number: int, path: str, predicate: str) -> Problem:
    param = f"tasks[{number}].{path}".rstrip(".")
    return Problem(param, f"{param} {predicate}")
