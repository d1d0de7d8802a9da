"""What the shapes of all answers are made of, and the shape of every error."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s


def nullable(field: type[s.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    return field(allow_null=True, **options)


class ErrorObject(s.Serializer[Any]):
    type = s.CharField()
    code = s.CharField()
    message = s.CharField()
    param = nullable(s.CharField)
    retryable = s.BooleanField()
    request_id = nullable(s.CharField)


class Error(s.Serializer[Any]):
    error = ErrorObject()
    detail = s.CharField()
