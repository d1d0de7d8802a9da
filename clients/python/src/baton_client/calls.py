"""Each call of the API on tasks as a plan."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

from baton_client.errors import TaskCancelled, TaskExpired, TaskFailed, TaskNotCompleted, WaitTimeout
from baton_client.plans import Plan, Request, Sleep, listed, nothing, one
from baton_client.shapes.tasks import Artifact, Attempt, Explanation, Task, TaskPage

HOLD = 25  # seconds that one request waits; the server takes up to 30
BETWEEN = 0.1  # seconds; a server that stops answers at once, and is not to be asked without end
Json = Mapping[str, Any]


class SubmitFields(TypedDict, total=False):
    """What a submit may say beside its type and input."""

    parameters: Json
    model: str | None  # left out: the default of the type
    priority: int  # 1 to 10, 10 is most urgent
    start_timeout: float | None  # seconds after which it expires if it has not started
    execution_timeout: float  # seconds of inference
    max_attempts: int
    run_at: datetime | str | None  # not before
    webhook_url: str | None
    metadata: Mapping[str, str]


class Filters(TypedDict, total=False):
    """Which tasks are meant."""

    status: str | list[str]
    task_type: str
    model: str
    worker_id: str
    batch_id: str
    user: str
    created_after: datetime | str
    created_before: datetime | str
    q: str  # beginning of an id, or part of the input's text


class BulkFilters(Filters, total=False):
    error_code: str
    error_message: str  # exactly this one


def part(text: str) -> str:
    """As one part of a path."""
    return quote(text, safe="")


def key_header(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Times as the API writes them; one without a zone is taken as local."""
    return {
        name: value.astimezone().isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def submit(task_type: str, input: Json, fields: SubmitFields, key: str | None) -> Plan[Task]:
    body = {"task_type": task_type, "input": input, **plain(fields)}
    return one(Task, Request("POST", "/tasks/", json=body, headers=key_header(key)))


def get(task_id: str) -> Plan[Task]:
    return one(Task, Request("GET", f"/tasks/{part(task_id)}"))


def wait(task_id: str, timeout: float | None) -> Plan[Task]:
    """The task when it has ended, however. Raises WaitTimeout."""
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    while True:
        hold = max(0, math.ceil(min(HOLD, deadline - time.monotonic())))
        params = {"wait": hold, "until": "end"} if hold else {}
        task = yield from one(Task, Request("GET", f"/tasks/{part(task_id)}", params=params, hold=hold))
        if task.has_ended:
            return task
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"Task {task_id} is still {task.status} after {timeout:g} s.", task)
        yield Sleep(BETWEEN)


def completed(task: Task) -> Task:
    """The task, if it has completed. Raises TaskFailed, TaskCancelled, TaskExpired."""
    kinds: dict[str, type[TaskNotCompleted]] = {"cancelled": TaskCancelled, "expired": TaskExpired}
    if task.status == "completed":
        return task
    why = f" ({task.error.code}): {task.error.message}" if task.error else "."
    words = {"expired": "expired: it had not started in time.", "cancelled": "was cancelled."}
    message = f"Task {task.task_id} " + words.get(task.status, f"{task.status}{why}")
    raise kinds.get(task.status, TaskFailed)(message, task)


def run(task_type: str, input: Json, timeout: float | None, fields: SubmitFields, key: str | None) -> Plan[Task]:
    task = yield from submit(task_type, input, fields, key)
    return completed((yield from wait(task.task_id, timeout)))


def cancel(task_id: str, wait: int) -> Plan[Task]:
    """`wait`: seconds, up to 30, that the server waits for it to stop."""
    params = {"wait": wait} if wait else {}
    return one(Task, Request("PATCH", f"/tasks/{part(task_id)}/cancel", params=params, hold=wait))


def retry(task_id: str, key: str | None) -> Plan[Task]:
    return one(Task, Request("POST", f"/tasks/{part(task_id)}/retry", headers=key_header(key)))


def delete(task_id: str, force: bool) -> Plan[None]:
    params = {"force": "true"} if force else {}
    return nothing(Request("DELETE", f"/tasks/{part(task_id)}", params=params))


def set_priority(task_id: str, priority: int) -> Plan[Task]:
    return one(Task, Request("PATCH", f"/tasks/{part(task_id)}", json={"priority": priority}))


def attempts(task_id: str) -> Plan[tuple[Attempt, ...]]:
    return listed(Attempt, Request("GET", f"/tasks/{part(task_id)}/attempts"))


def explain(task_id: str) -> Plan[Explanation]:
    return one(Explanation, Request("GET", f"/tasks/{part(task_id)}/explain"))


def first_page(filters: Filters, limit: int | None) -> Request:
    """`limit`: how many are wanted in all; None: all of them."""
    size = 200 if limit is None else max(1, min(200, limit))
    return Request("GET", "/tasks/", params={**plain(filters), "limit": size})


def next_page(page: TaskPage) -> Request | None:
    """Only the query of the address is taken: a proxy may have another name than the server thinks."""
    if page.next is None:
        return None
    params: dict[str, Any] = {}
    for name, value in parse_qsl(urlsplit(page.next).query):
        params.setdefault(name, []).append(value)
    return Request("GET", "/tasks/", params=params)


def upload(content: bytes) -> Plan[Artifact]:
    """What kind of image it is the server sees from its bytes."""
    return one(Artifact, Request("POST", "/artifacts/", content=content, headers={"Content-Type": "image/png"}))
