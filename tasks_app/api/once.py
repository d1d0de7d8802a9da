"""The header Idempotency-Key: what it may be, and what an answer says that is given again."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from tasks_app import idempotency
from tasks_app.api.access import identity_of
from tasks_app.api.errors import InvalidInput
from tasks_app.idempotency import MAX_KEY, Key

HEADER = "Idempotency-Key"


def key_of(request: Request, route: str, body: Any) -> Key | None:
    name = request.headers.get(HEADER)
    if name is None:
        return None
    if not (1 <= len(name) <= MAX_KEY and name.isprintable()):
        raise InvalidInput(f"{HEADER} must be 1 to {MAX_KEY} printable characters", HEADER)
    return idempotency.key_for(identity_of(request), route, name, body)


def answer(body: Any, location: str, replayed: bool) -> Response:
    """201 for what was made, 200 for what had been made before."""
    response = Response(body, status=200 if replayed else 201)
    response["Location"] = location
    return marked(response, replayed)


def marked(response: Response, replayed: bool) -> Response:
    if replayed:
        response["Idempotency-Replayed"] = "true"
    return response
