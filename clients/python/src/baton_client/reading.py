"""From JSON to frozen dataclasses. Fields that are not known here are left out, so that the server may grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from baton_client.errors import UnexpectedAnswer

T = TypeVar("T")


def read(shape: type[T], data: object) -> T:
    """`data` as the dataclass `shape`; its field `raw`, if it has one, is the JSON as it came.

    Raises UnexpectedAnswer when a field is missing that has no default.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"The server should have told of a {shape.__name__}, and sent no JSON object.")
    kinds = _kinds(cast(Any, shape))
    values = {name: _value(kind, data[name]) for name, kind in kinds.items() if name in data}
    if "raw" in kinds:
        values["raw"] = data
    try:
        return shape(**values)
    except TypeError as error:
        raise UnexpectedAnswer(f"The server's {shape.__name__} is not as expected: {error}") from None


@cache
def _kinds(shape: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(shape)
    return {field.name: hints[field.name] for field in fields(shape)}


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _value(next(each for each in inner if each is not NoneType), value)
    if origin is tuple:
        return tuple(_value(inner[0], each) for each in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _value(inner[1], each) for name, each in value.items()}
    if kind is datetime:
        return datetime.fromisoformat(value)
    return read(kind, value) if isinstance(kind, type) and is_dataclass(kind) else value
