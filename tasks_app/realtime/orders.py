"""What a client may say over the socket: one JSON object a message, as strict as the bodies of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from tasks_app.api.errors import InvalidInput
from tasks_app.realtime.events import Position

MAX_MESSAGE = 64 * 1024  # bytes
MAX_REF = 100  # characters
CHANNELS = ("task", "tasks", "workers", "queues")
FIELDS = {
    "authenticate": {"token"},
    "subscribe": {"channel", "id", "after"},
    "unsubscribe": {"channel", "id"},
    "cancel": {"id"},
    "ping": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Order:
    """`ref` is the client's own word for it, and comes back with the answer."""

    action: str
    ref: str | None = None
    channel: str = ""
    id: str | None = None
    after: Position | None = None
    token: str = ""

    @property
    def topic(self) -> tuple[str, str | None]:
        return self.channel, self.id


def parse(text: str | bytes) -> Order:
    """Raises InvalidInput, with the name of what is wrong."""
    told = _object(text)
    action = told.pop("action", None)
    if not isinstance(action, str) or action not in FIELDS:
        raise InvalidInput(f"action must be one of {', '.join(FIELDS)}", "action")
    ref = told.pop("ref", None)
    if not (ref is None or (isinstance(ref, str) and len(ref) <= MAX_REF)):
        raise InvalidInput(f"ref must be at most {MAX_REF} characters", "ref")
    if unknown := sorted(told.keys() - FIELDS[action]):
        raise InvalidInput(f"{unknown[0][:MAX_REF]} is not known here", unknown[0][:MAX_REF])
    return _order(action, ref, told)


def _object(text: str | bytes) -> dict[str, Any]:
    if len(text) > MAX_MESSAGE:
        raise InvalidInput(f"a message must be at most {MAX_MESSAGE} bytes")
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"a message must be JSON: {error}") from None
    if not isinstance(told, dict):
        raise InvalidInput("a message must be a JSON object")
    return told


def _order(action: str, ref: str | None, told: dict[str, Any]) -> Order:
    match action:
        case "authenticate":
            return Order(action, ref, token=_text(told, "token"))
        case "cancel":
            return Order(action, ref, id=_text(told, "id"))
        case "subscribe" | "unsubscribe":
            channel = told.get("channel")
            if channel not in CHANNELS:
                raise InvalidInput(f"channel must be one of {', '.join(CHANNELS)}", "channel")
            if channel != "task":
                _refuse(told, "id", "after")
                return Order(action, ref, channel)
            after = _position(told["after"]) if told.get("after") is not None else None
            return Order(action, ref, channel, _text(told, "id"), after)
    return Order(action, ref)


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name} must be a text", name)
    return value


def _refuse(told: dict[str, Any], *names: str) -> None:
    for name in names:
        if told.get(name) is not None:
            raise InvalidInput(f"{name} is for the channel task only", name)


def _position(value: Any) -> Position:
    """`12`, `"12"` or `"12.3"`."""
    try:
        return Position.parse(str(value) if isinstance(value, str | int) else "")
    except ValueError:
        raise InvalidInput("after must be the id of an event, such as 3 or 3.17", "after") from None
