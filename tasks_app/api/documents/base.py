"""What the documents of all calls are made of. Decorators for the views; no behaviour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from tasks_app.api.shapes.base import Error

View = TypeVar("View", bound=Callable[..., Any])
TASKS, RESULTS, OPERATIONS = "tasks", "artifacts and models", "operations"


class Decorator(Protocol):
    def __call__(self, view: View, /) -> View: ...


def call(**options: Any) -> Decorator:
    """`extend_schema`, typed."""
    decorator: Decorator = extend_schema(**options)
    return decorator


def errors(*codes: int) -> dict[int, OpenApiResponse]:
    """Every call may be refused for its credentials, role or rate, and meet a database that is away."""
    return {code: OpenApiResponse(Error, DESCRIPTIONS[code]) for code in (*codes, 401, 403, 429, 503)}


DESCRIPTIONS = {
    400: "Something in the request is wrong; `param` names it.",
    401: "No key, or none that is valid.",
    403: "Your role or your key may not do this; the message names the role that may.",
    404: "There is no such thing, or it is another organization's.",
    406: "Not a type that this call answers in.",
    409: "The task's state does not allow it.",
    413: "The body is too large.",
    415: "The body is not what this call takes.",
    416: "The range lies outside the file.",
    422: "No worker could ever run it.",
    429: "A limit is reached; `code` says which, and `Retry-After` when to try again.",
    503: "The database is away; `Retry-After` says when to try again.",
}


def query(name: str, kind: Any = str, description: str = "", **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description, **options)


def bounded(name: str, low: int, high: int, description: str) -> OpenApiParameter:
    return query(name, {"type": "integer", "minimum": low, "maximum": high}, description)
