"""Reading the file of a batch: a request in each line, checked as if it had been sent by itself.

What is wrong is told by its line; a batch is taken whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.batches import MAX_TASKS
from tasks_app.capability import NoCapableWorker
from tasks_app.openai.naming import problem_of
from tasks_app.openai.requests import chat, completions
from tasks_app.openai.requests.fields import said
from tasks_app.schemas import submission
from tasks_app.schemas.problems import first_problem, name_of
from tasks_app.schemas.strict import MESSAGES, Choice, Strict, Text
from tasks_app.services import NewTask
from tenants_app.identity import Identity

WINDOW = timedelta(hours=24)  # a request that has not started by then expires
PRIORITY = 3  # below what somebody waits for; a request may ask for another
LISTED = 100  # problems
CUSTOM_ID = "custom_id"  # the name of a request, in the metadata of its task
BODIES: dict[str, tuple[Strict, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "/v1/chat/completions": (chat.CHAT_REQUEST, chat.body_of),
    "/v1/completions": (completions.COMPLETION_REQUEST, completions.body_of),
}


class LineRequest(Strict):
    custom_id = Text(1, 512)
    method = Choice(("POST",))
    url = Text(1, 100)
    body = serializers.JSONField(error_messages=MESSAGES)  # any JSON; the route's own schema looks into it


LINE = LineRequest()


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(slots=True)
class Read:
    """Either tasks, or problems: the first of them."""

    tasks: list[NewTask] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class _Refused(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def read(identity: Identity, lines: Iterable[bytes], endpoint: str, files: list[str]) -> Read:
    """`files` grows by the images that requests hold: they are stored."""
    found, names = Read(), set[str]()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(found.tasks) == MAX_TASKS:
            found.problems.append(Problem("too_many_requests", f"A batch may have {MAX_TASKS} requests.", number))
            break
        if len(found.problems) == LISTED:
            break
        try:
            task = _task(identity, _request(line, endpoint, names), endpoint)
            files += [stored.file for stored in task.input_artifacts]
            found.tasks.append(task)
        except _Refused as error:
            found.problems.append(Problem(error.code, error.message, number, error.param))
    if not found.tasks and not found.problems:
        found.problems.append(Problem("empty_file", "The file holds no request."))
    return found


def _request(line: bytes, endpoint: str, names: set[str]) -> dict[str, Any]:
    """`names` grows by this one's."""
    try:
        request: dict[str, Any] = LINE.run_validation(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise _Refused("invalid_json_line", f"The line is not valid JSON: {error}") from None
    except ValidationError as error:
        path, predicate = first_problem(error.detail)
        raise _Refused("invalid_request", f"{name_of(path)} {predicate}", path) from None
    if request["url"] != endpoint:
        raise _Refused("mismatched_endpoint", f"url must be {endpoint}, the endpoint of the batch", "url")
    if request[CUSTOM_ID] in names:
        raise _Refused("duplicate_custom_id", f"custom_id {request[CUSTOM_ID]!r} is there twice", CUSTOM_ID)
    names.add(request[CUSTOM_ID])
    return request


def _task(identity: Identity, request: Mapping[str, Any], endpoint: str) -> NewTask:
    schema, body_of = BODIES[endpoint]
    try:
        asked = schema.run_validation(request["body"])
    except ValidationError as error:
        path, predicate = first_problem(error.detail)
        raise _Refused("invalid_request", f"{name_of(path)} {predicate}", f"body.{path}".rstrip(".")) from None
    if asked.get("stream"):
        raise _Refused("invalid_request", "stream must be left out in a batch", "body.stream")
    body = body_of(asked)
    try:
        return submission.accept(identity, _waiting_for_long(body, request[CUSTOM_ID]))
    except ValidationError as error:
        param, message = problem_of(body["task_type"], error)
        raise _Refused("invalid_request", message, f"body.{param}") from None
    except submission.ModelNotFound as error:
        raise _Refused("model_not_found", str(error), "body.model") from None
    except NoCapableWorker as error:
        raise _Refused("no_capable_worker", str(error), "body.model") from None


def _waiting_for_long(body: Mapping[str, Any], custom_id: str) -> dict[str, Any]:
    metadata = {**said(body, {"metadata": "metadata"}).get("metadata", {}), CUSTOM_ID: custom_id}
    return {"priority": PRIORITY, **body, "start_timeout": WINDOW.total_seconds(), "metadata": metadata}
