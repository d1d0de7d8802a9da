"""Fields of the bodies under /v1. What would change an answer and is not done here is refused, what would not is
ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.schemas.strict import MESSAGES, ListOf, Text

STOPS = 4  # texts


class Only(serializers.Field[Any, Any, Any, Any]):
    """Of something that is not done here: only null and the values that say that it is not wanted."""

    default_error_messages = MESSAGES

    def __init__(self, *values: Any) -> None:
        super().__init__(required=False, allow_null=True)
        self.values = values

    def to_internal_value(self, data: Any) -> Any:
        if not any(_alike(data, value) for value in self.values):
            wanted = " or ".join([*(repr(value).lower() for value in self.values), "nothing"])
            raise serializers.ValidationError(f"is not supported here: it must be {wanted}")
        return data


def _alike(one: Any, other: Any) -> bool:
    """JSON's true is no 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class OnlyInSchema(OpenApiSerializerFieldExtension):  # type: ignore[misc]
    target_class = "tasks_app.openai.requests.fields.Only"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Null is added by the caller."""
        return {"anyOf": [{"enum": [value]} for value in self.target.values], "description": "Not supported."}


class Ignored(serializers.JSONField):
    """Taken whatever it is, and never looked at."""

    default_error_messages = MESSAGES

    def __init__(self) -> None:
        super().__init__(required=False, allow_null=True, help_text="Taken, and without effect.")

    def to_internal_value(self, data: Any) -> Any:
        return None


class IgnoredInSchema(OpenApiSerializerFieldExtension):  # type: ignore[misc]
    target_class = "tasks_app.openai.requests.fields.Ignored"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"anyOf": [{}]}


def same(field: serializers.Field[Any, Any, Any, Any], **options: Any) -> Any:
    """A field with the bounds of another, which may be left out or null: then it is as if it had not been named."""
    made_with: Any = field  # DRF keeps how each was made, to copy them
    given = {**made_with._kwargs, "required": False, "allow_null": True, **options}
    given.pop("default", None)
    return type(field)(*made_with._args, **given)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": 100},
            {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 100}, "maxItems": STOPS},
        ]
    }
)
class Stop(ListOf):
    """One text or a list of them."""

    def __init__(self) -> None:
        super().__init__(Text(1, 100, white_space=True), 0, STOPS, required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value([data] if isinstance(data, str) else data)


def said(asked: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What was asked for by the names of the right, under those of the left; null means nothing."""
    return {ours: asked[theirs] for ours, theirs in names.items() if asked.get(theirs) is not None}
