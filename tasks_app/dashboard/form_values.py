"""Between what a person typed and what the API takes. It judges nothing: what is no number stays a text, and the
schema says what is wrong with it.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from tasks_app.dashboard.form_fields import IMAGE, WORDS, FormField

WHOLE = re.compile(r"-?\d{1,30}\Z", re.ASCII)


def request_of(
    task_type: str, model: str, fields: Iterable[FormField], typed: Mapping[str, Any], image: UploadedFile[bytes] | None
) -> dict[str, Any]:
    """The body that `POST /tasks/` would get; what was left empty is left out."""
    body: dict[str, Any] = {"task_type": task_type, "input": {}}
    if model:
        body["model"] = model
    for field in fields:
        text = typed.get(field.path, "").replace("\r\n", "\n")
        value = _data_url(image) if field.path == IMAGE and image else _value(field, text)
        if value is not None:
            _put(body, field.path.split("."), value)
    return body


def typed_of(request: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The other way: a stored request as somebody would have typed it."""
    typed: dict[str, str] = {}
    for name, value in request.items():
        if isinstance(value, Mapping):
            typed |= typed_of(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            typed[prefix + name] = "\n".join(map(str, value))
        elif isinstance(value, bool):
            typed[prefix + name] = WORDS[value]
        elif value is not None:
            typed[prefix + name] = str(value)
    return typed


def problems_of(detail: Any, path: str = "") -> dict[str, str]:
    """The API's complaints by the path of their field; "" for those about the whole."""
    if isinstance(detail, Mapping):
        found: dict[str, str] = {}
        for name, inner in detail.items():
            found |= problems_of(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
        return found
    if isinstance(detail, list):
        return {path: str(detail[0])} if detail and isinstance(detail[0], str) else _first_of(detail, path)
    return {path: str(detail)}


def _first_of(details: list[Any], path: str) -> dict[str, str]:
    """A list's items have one field together."""
    return next(({path: text} for inner in details for text in problems_of(inner).values()), {})


def _value(field: FormField, text: str) -> Any:
    if field.widget == "lines":
        return [line for line in text.split("\n") if line] or None
    if field.widget == "flag":
        return {word: flag for flag, word in WORDS.items()}.get(text, text or None)
    if not text.strip():
        return None
    return _number(text.strip()) if field.widget == "number" else text


def _number(text: str) -> Any:
    if WHOLE.match(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text  # JSON has no word for the others


def _data_url(image: UploadedFile[bytes]) -> str:
    """One byte more than is allowed is enough for the refusal, however large the file."""
    content = image.read(settings.MAX_IMAGE_BYTES + 1)
    return f"data:{image.content_type};base64,{base64.b64encode(content).decode()}"


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value
