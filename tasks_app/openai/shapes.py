"""Shapes of the answers under /v1, for the OpenAPI document. Never used to render; tests compare them with `render`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable


def constant(value: str, **options: Any) -> Any:
    """A class of its own, because a serializer copies its fields and forgets what was said of one."""
    kind: type[s.CharField] = extend_schema_field({"type": "string", "const": value})(type("Is", (s.CharField,), {}))
    return kind(**options)


FINISH_REASONS = ["stop", "length"]


class OpenAIModel(s.Serializer[Any]):
    id = s.CharField()
    object = constant("model")
    created = s.IntegerField(help_text="Unix time, in seconds.")
    owned_by = s.CharField()


def page(name: str, of: type[s.Serializer[Any]], paged: bool = True) -> type[s.Serializer[Any]]:
    """A list as these clients read it. Its rows are in `data`, a name that serializers have for themselves."""
    fields: dict[str, Any] = {"object": constant("list"), "data": of(many=True)}
    if paged:
        fields |= {"first_id": nullable(s.CharField), "last_id": nullable(s.CharField), "has_more": s.BooleanField()}
    return type(name, (s.Serializer,), fields)


OpenAIModelList = page("OpenAIModelList", OpenAIModel, paged=False)


class CompletionUsage(s.Serializer[Any]):
    prompt_tokens = s.IntegerField()
    completion_tokens = s.IntegerField()
    total_tokens = s.IntegerField()


class AssistantMessage(s.Serializer[Any]):
    role = constant("assistant")
    content = s.CharField()
    refusal = nullable(s.CharField, help_text="Always null.")


class ChatChoice(s.Serializer[Any]):
    index = s.IntegerField()
    message = AssistantMessage()
    finish_reason = s.ChoiceField(FINISH_REASONS)
    logprobs = nullable(s.DictField, help_text="Always null.")


class ChatCompletion(s.Serializer[Any]):
    id = s.CharField()
    object = constant("chat.completion")
    created = s.IntegerField(help_text="Unix time, in seconds.")
    model = s.CharField()
    choices = ChatChoice(many=True)
    usage = CompletionUsage()


class ChatDelta(s.Serializer[Any]):
    role = constant("assistant", required=False)
    content = s.CharField(required=False)
    refusal = s.CharField(required=False, allow_null=True, help_text="Always null.")


class ChatChunkChoice(s.Serializer[Any]):
    index = s.IntegerField()
    delta = ChatDelta()
    finish_reason = s.ChoiceField(FINISH_REASONS, allow_null=True)
    logprobs = nullable(s.DictField, help_text="Always null.")


class ChatCompletionChunk(s.Serializer[Any]):
    id = s.CharField()
    object = constant("chat.completion.chunk")
    created = s.IntegerField(help_text="Unix time, in seconds.")
    model = s.CharField()
    choices = ChatChunkChoice(many=True)
    usage = CompletionUsage(allow_null=True, required=False)


class TextChoice(s.Serializer[Any]):
    index = s.IntegerField()
    text = s.CharField()
    finish_reason = s.ChoiceField(FINISH_REASONS)
    logprobs = nullable(s.DictField, help_text="Always null.")


class Completion(s.Serializer[Any]):
    id = s.CharField()
    object = constant("text_completion")
    created = s.IntegerField(help_text="Unix time, in seconds.")
    model = s.CharField()
    choices = TextChoice(many=True)
    usage = CompletionUsage()


class TextChunkChoice(s.Serializer[Any]):
    index = s.IntegerField()
    text = s.CharField()
    finish_reason = s.ChoiceField(FINISH_REASONS, allow_null=True)
    logprobs = nullable(s.DictField, help_text="Always null.")


class CompletionChunk(s.Serializer[Any]):
    id = s.CharField()
    object = constant("text_completion")
    created = s.IntegerField(help_text="Unix time, in seconds.")
    model = s.CharField()
    choices = TextChunkChoice(many=True)
    usage = CompletionUsage(allow_null=True, required=False)


class Image(s.Serializer[Any]):
    """Either of the two, as `response_format` says."""

    b64_json = s.CharField(required=False)
    url = s.CharField(required=False, help_text="Opens without a key, for an hour.")


Images = type(
    "Images",
    (s.Serializer,),
    {
        "created": s.IntegerField(help_text="Unix time, in seconds."),
        "data": Image(many=True),
        "output_format": s.ChoiceField(["png", "webp", "jpeg"]),
        "size": s.CharField(),
    },
)
