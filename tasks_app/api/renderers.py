"""JSON in and out: fast, UTF-8, strict."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from tasks_app.api.errors import PayloadTooLarge
from tasks_app.schemas.strict import storable


def to_json(data: Any) -> bytes:
    """UTC times end in Z."""
    return orjson.dumps(data, option=orjson.OPT_UTC_Z)


class OrjsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else to_json(data)


class CsvRenderer(BaseRenderer):
    """Rows of cells; text that a spreadsheet would run gets a ' before it."""

    media_type = "text/csv"
    format = "csv"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(map(_cell, row) for row in data)
        return lines.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


class StrictJSONParser(BaseParser):
    """Refuses NaN, lone surrogates, numbers that no double can hold, and nesting without end. Keys and types are the
    schemas' matter: they know every level, so nothing deeper than they go is ever taken."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise PayloadTooLarge(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            if (path := _unstorable(body)) is not None:
                problem: Any = ["must not hold NUL characters or lone surrogates"]
                raise ValidationError({path: problem} if path else problem) from None
            raise ParseError(f"The body is not valid JSON: {error}") from None


def _unstorable(body: bytes) -> str | None:
    """Where in a body that orjson refused there is text that cannot be stored, so that the answer can name it."""
    try:
        return _find(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _find(value: Any, path: str = "") -> str | None:
    if isinstance(value, str):
        return None if storable(value) else path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        here = f"{path}.{key}".lstrip(".")
        if isinstance(key, str) and not storable(key):
            return path
        if (found := _find(part, here)) is not None:
            return found
    return None
