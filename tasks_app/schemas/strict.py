"""Fields and serializers that take exactly what they say: no coercion, no unknown field, nothing that cannot be stored.

Messages are predicates ("must be 1 to 150"); whoever shows them puts the field's name in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.utils import timezone
from rest_framework import serializers
from rest_framework.fields import Field, empty

MESSAGES: dict[str, Any] = {"required": "is required", "null": "must not be null", "invalid": "must be an object"}


def storable(text: str) -> bool:
    """PostgreSQL can hold neither NUL nor a lone surrogate."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Docstrings of these would show in the OpenAPI document, in every class that has none of its own.


class Strict(serializers.Serializer[Any]):
    # One instance validates any number of requests, on any thread: `run_validation` keeps no state.

    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := data.keys() - self.fields.keys()):
            raise serializers.ValidationError({name: ["is not a known field"] for name in sorted(unknown)})
        return super().to_internal_value(data)


class Bounded:
    openapi: dict[str, Any] = {}  # bounds that DRF has no words for, in JSON Schema's


class Integer(Bounded, serializers.IntegerField):
    default_error_messages = MESSAGES

    def __init__(self, low: int, high: int, *, multiple_of: int = 1, **options: Any) -> None:
        super().__init__(min_value=low, max_value=high, **options)
        self.low, self.high, self.multiple_of = low, high, multiple_of
        self.openapi = {"multipleOf": multiple_of} if multiple_of > 1 else {}

    def to_internal_value(self, data: Any) -> int:
        whole = int(data) if type(data) is float and data.is_integer() else data
        if type(whole) is not int or not self.low <= whole <= self.high or whole % self.multiple_of:
            also = f" and a multiple of {self.multiple_of}" if self.multiple_of > 1 else ""
            raise serializers.ValidationError(f"must be {self.low} to {self.high}{also}")
        return whole


class Number(Bounded, serializers.FloatField):
    """`above`: the lower bound itself is refused."""

    default_error_messages = MESSAGES

    def __init__(self, low: float, high: float, *, above: bool = False, **options: Any) -> None:
        super().__init__(min_value=None if above else low, max_value=high, **options)
        self.low, self.high, self.above = low, high, above
        self.openapi = {"exclusiveMinimum": low} if above else {}

    def to_internal_value(self, data: Any) -> float:
        inside = type(data) in (int, float) and self.low <= data <= self.high
        if not inside or (self.above and data == self.low):
            bounds = f"above {self.low:g} and at most" if self.above else f"{self.low:g} to"
            raise serializers.ValidationError(f"must be {bounds} {self.high:g}")
        return float(data)


class Text(serializers.CharField):
    """`low` = 0 allows an empty text; otherwise one of nothing but white space is refused too, if not `white_space`."""

    default_error_messages = MESSAGES

    def __init__(self, low: int, high: int, *, white_space: bool = False, **options: Any) -> None:
        super().__init__(min_length=low or None, max_length=high, trim_whitespace=False, allow_blank=not low, **options)
        self.low, self.high, self.white_space = low, high, white_space

    def run_validation(self, data: Any = empty) -> Any:
        return Field.run_validation(self, data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be text")
        if not storable(data):
            raise serializers.ValidationError("must not hold NUL characters or lone surrogates")
        if not self.low <= len(data) <= self.high:
            raise serializers.ValidationError(f"must be {self.low} to {self.high} characters")
        if self.low and not self.white_space and not data.strip():
            raise serializers.ValidationError("must not be empty")
        return data


class Choice(serializers.ChoiceField):
    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(f"must be one of {', '.join(map(str, self.choices))}")
        return data


class Flag(serializers.BooleanField):
    default_error_messages = {**MESSAGES, "invalid": "must be true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class ListOf(serializers.ListField):
    default_error_messages = MESSAGES

    def __init__(self, child: Field[Any, Any, Any, Any], low: int, high: int, **options: Any) -> None:
        super().__init__(child=child, min_length=low, max_length=high, **options)
        self.low, self.high = low, high

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, Sequence) or isinstance(data, str) or not self.low <= len(data) <= self.high:
            raise serializers.ValidationError(f"must be a list of {self.low} to {self.high}")
        items: list[Any] = self.run_child_validation(list(data))
        return items


class Url(Bounded, Text):
    openapi = {"format": "uri"}

    def __init__(self, schemes: Sequence[str], high: int, **options: Any) -> None:
        super().__init__(1, high, **options)
        self.schemes = schemes

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not is_url(text, self.schemes):
            raise serializers.ValidationError(f"must be a URL that starts with {' or '.join(self.schemes)}")
        return text


def is_url(text: str, schemes: Sequence[str]) -> bool:
    """An absolute URL with a host; names without a dot are fine, because intranets have them."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and text.isprintable() and " " not in text


class Moment(serializers.DateTimeField):
    """RFC 3339, at most `ahead` from now; a time without an offset is UTC."""

    default_error_messages = {
        **MESSAGES,
        "invalid": "must be a time such as 2030-01-31T12:00:00Z",
        "overflow": "must be a time such as 2030-01-31T12:00:00Z",
    }

    def __init__(self, ahead: timedelta, **options: Any) -> None:
        super().__init__(**options)
        self.ahead = ahead

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str):
            self.fail("invalid")
        moment = super().to_internal_value(value)
        if moment > timezone.now() + self.ahead:
            raise serializers.ValidationError(f"must be at most {self.ahead.days} days ahead")
        return moment


class Metadata(Bounded, serializers.DictField):
    """The client's own notes: text by name, shown again and never read."""

    MAX_KEYS = 50
    MAX_BYTES = 16 * 1024  # of keys and values, in UTF-8
    openapi = {"maxProperties": MAX_KEYS}
    default_error_messages = MESSAGES

    def __init__(self, **options: Any) -> None:
        super().__init__(child=Text(0, self.MAX_BYTES), **options)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("must be an object")
        if len(data) > self.MAX_KEYS:
            raise serializers.ValidationError(f"must have at most {self.MAX_KEYS} keys")
        for key, value in data.items():
            if not isinstance(value, str):
                raise serializers.ValidationError({key: ["must be text"]})
            if not storable(key) or not storable(value):
                raise serializers.ValidationError({key: ["must not hold NUL characters or lone surrogates"]})
        if sum(len(key.encode()) + len(value.encode()) for key, value in data.items()) > self.MAX_BYTES:
            raise serializers.ValidationError(f"must be at most {self.MAX_BYTES} bytes")
        return dict(data)
