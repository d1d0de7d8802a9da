"""The messages of a chat: text, or parts of text and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.openai.requests.fields import Ignored, Only
from tasks_app.schemas.image_to_text import MAX_DATA_URL
from tasks_app.schemas.llm import MAX_CHARACTERS, MAX_MESSAGES
from tasks_app.schemas.strict import MESSAGES, Choice, ListOf, Strict, Text

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}  # theirs: ours
MAX_PARTS = 100


class ImageUrl(Strict):
    url = Text(1, MAX_DATA_URL, help_text="An https URL, a data URL, or artifact://<id>.")
    detail = Ignored()


class ContentPart(Strict):
    type = Choice(("text", "image_url"))
    text = Text(0, MAX_CHARACTERS, required=False)
    image_url = ImageUrl(required=False)
    prompt_cache_breakpoint = Ignored()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["type"] not in attrs:
            raise serializers.ValidationError({attrs["type"]: ["is required"]})
        return attrs


_PARTS = ListOf(ContentPart(), 1, MAX_PARTS)


class Content(serializers.Field[Any, Any, Any, Any]):
    """Text as it is; parts as a list of dictionaries."""

    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            return Text(1, MAX_CHARACTERS).run_validation(data)
        return _PARTS.run_validation(data)


PART = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["text", "image_url"]},
        "text": {"type": "string", "maxLength": MAX_CHARACTERS},
        "image_url": {
            "type": "object",
            "required": ["url"],
            "additionalProperties": False,
            "properties": {"url": {"type": "string", "minLength": 1, "maxLength": MAX_DATA_URL}, "detail": {}},
        },
        "prompt_cache_breakpoint": {},
    },
}
extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
            {"type": "array", "items": PART, "minItems": 1, "maxItems": MAX_PARTS},
        ]
    }
)(Content)


class ChatMessage(Strict):
    """Beside role and content it may have whatever an answer of ours has, so that answers can be sent back."""

    role = Choice(tuple(ROLES))
    content = Content()
    name = Ignored()
    refusal = Only()
    annotations = Only([])
    audio = Only()
    tool_calls = Only([])
    function_call = Only()


def messages() -> ListOf:
    return ListOf(ChatMessage(), 1, MAX_MESSAGES)


def text_of(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if "text" in part)


def images_of(message: Mapping[str, Any]) -> list[str]:
    content = message["content"]
    return [] if isinstance(content, str) else [part["image_url"]["url"] for part in content if "image_url" in part]


def conversation(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """As an `llm` task takes it."""
    return [{"role": ROLES[message["role"]], "content": text_of(message)} for message in messages]
