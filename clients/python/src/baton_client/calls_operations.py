"""What operators and monitors ask, as plans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

import httpx

from baton_client.calls import Json, part, plain
from baton_client.errors import NotFound, UnexpectedAnswer
from baton_client.plans import Plan, Request, document, listed, nothing, one
from baton_client.reading import read
from baton_client.shapes.operations import Model, Pause, Queue, Readiness, Worker
from baton_client.shapes.usage import Usage

PLURAL = {"queue": "queues", "model": "models", "organization": "organizations"}


def workers() -> Plan[tuple[Worker, ...]]:
    return listed(Worker, Request("GET", "/workers/"))


def set_worker(name: str, state: str, reason: str) -> Plan[Worker]:
    return one(Worker, Request("PATCH", f"/workers/{part(name)}", json={"state": state, "reason": reason}))


def queues() -> Plan[tuple[Queue, ...]]:
    return listed(Queue, Request("GET", "/queues/"))


def pauses() -> Plan[tuple[Pause, ...]]:
    """Everything that is paused now."""
    body = document((yield Request("GET", "/queues/")))
    return tuple(read(Pause, each) for each in body["paused"])


def pause(kind: str, name: str, reason: str, until: datetime | str | None) -> Plan[Pause]:
    body = plain({"reason": reason, "until": until})
    return one(Pause, Request("POST", f"/{PLURAL[kind]}/{part(name)}/pause", json=body))


def resume(kind: str, name: str) -> Plan[None]:
    return nothing(Request("POST", f"/{PLURAL[kind]}/{part(name)}/resume"))


def models(task_type: str | None) -> Plan[tuple[Model, ...]]:
    return listed(Model, Request("GET", "/models/", params={"task_type": task_type} if task_type else {}))


def metrics(window: str) -> Plan[Json]:
    return _json(Request("GET", "/tasks/stats/metrics", params={"window": window}))


def health() -> Plan[Json]:
    return _json(Request("GET", "/tasks/workers/health"))


class UsageFilters(TypedDict, total=False):
    """Whose usage is meant."""

    organization: str
    user: str
    api_key: str
    task_type: str
    model: str


def usage(
    since: datetime | str | None, until: datetime | str | None, group_by: Sequence[str] | None, filters: UsageFilters
) -> Plan[Usage]:
    """Raises NotFound, with a message that says so, from a server that keeps no account."""
    asked = {"from": since, "to": until, "group_by": None if group_by is None else ",".join(group_by), **filters}
    try:
        return (yield from one(Usage, Request("GET", "/usage/", params=plain(asked))))
    except (NotFound, UnexpectedAnswer):
        words = {"code": "not_found", "message": "This server does not tell usage: it has no /usage/."}
        raise NotFound(404, {"error": words}) from None


def readiness(response: httpx.Response) -> dict[str, Readiness]:
    """Of an answer of /readyz, whether its status says 200 or 503."""
    body = document(response)
    if not isinstance(body, dict):
        raise UnexpectedAnswer(f"{response.url} answers, and not as Baton does.")
    return {name: read(Readiness, each) for name, each in body.items()}


def _json(request: Request) -> Plan[Json]:
    body = document((yield request))
    if not isinstance(body, dict):
        raise UnexpectedAnswer("The server should have sent a JSON object, and did not.")
    return body
