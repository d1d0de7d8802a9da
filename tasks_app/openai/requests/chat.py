"""The body of POST /v1/chat/completions; an `llm` task, or with an image an `image_to_text` task, is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from tasks_app.openai.requests.fields import Ignored, Only, Stop, said, same
from tasks_app.openai.requests.messages import conversation, images_of, messages, text_of
from tasks_app.openai.requests.models import room_to_answer
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TASK_REQUEST
from tasks_app.schemas.strict import Flag, Strict
from workers_app.models import TaskType

LLM = SCHEMAS[TaskType.LLM].parameters.fields
SAMPLING = ("temperature", "top_p", "top_k", "repetition_penalty", "stop")


class StreamOptions(Strict):
    include_usage = Flag(required=False)
    include_obfuscation = Ignored()


class Generation(Strict):
    """What the bodies of chats and of completions have in common."""

    model = same(TASK_REQUEST.fields["model"])
    max_tokens = same(LLM["max_new_tokens"])
    temperature = same(LLM["temperature"])
    top_p = same(LLM["top_p"])
    stop = Stop()
    seed = same(LLM["seed"])
    stream = Flag(required=False, allow_null=True)
    stream_options = StreamOptions(required=False, allow_null=True)
    n = Only(1)
    frequency_penalty = Only(0)
    presence_penalty = Only(0)
    logit_bias = Only({})
    user = Ignored()
    top_k = same(LLM["top_k"])
    repetition_penalty = same(LLM["repetition_penalty"])
    priority = same(TASK_REQUEST.fields["priority"])
    simulate = same(LLM["simulate"])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("stream_options") is not None and not attrs.get("stream"):
            raise serializers.ValidationError({"stream_options": ["is only taken with stream: true"]})
        return attrs


class ChatRequest(Generation):
    messages = messages()
    max_completion_tokens = same(LLM["max_new_tokens"])
    metadata = same(TASK_REQUEST.fields["metadata"])
    response_format = Only({"type": "text"})
    modalities = Only(["text"])
    logprobs = Only(False)
    top_logprobs = Only(0)
    tools = Only([])
    tool_choice = Only("none", "auto")
    functions = Only([])
    function_call = Only("none", "auto")
    audio = Only()
    prediction = Only()
    web_search_options = Only()
    moderation = Only()
    reasoning_effort = Only()
    verbosity = Only()
    parallel_tool_calls = Ignored()
    safety_identifier = Ignored()
    store = Ignored()
    service_tier = Ignored()
    prompt_cache_key = Ignored()
    prompt_cache_options = Ignored()
    prompt_cache_retention = Ignored()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if any(images_of(message) for message in attrs["messages"]):
            _check_image_question(attrs)
        return attrs


CHAT_REQUEST = ChatRequest()


def _check_image_question(asked: Mapping[str, Any]) -> None:
    with_images = [message for message in asked["messages"] if images_of(message)]
    images = [image for message in with_images for image in images_of(message)]
    if len(images) > 1 or any(message["role"] == "assistant" for message in asked["messages"]):
        raise serializers.ValidationError({"messages": ["must be one question about one image, if they have an image"]})
    if with_images[0]["role"] != "user":
        raise serializers.ValidationError({"messages": ["may have an image only in a message of the user"]})
    if asked.get("stop"):
        raise serializers.ValidationError({"stop": ["is not supported with an image"]})


def body_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the task, as of POST /tasks/."""
    about_an_image = any(images_of(message) for message in asked["messages"])
    body = _image_question(asked) if about_an_image else _chat(asked)
    return {**body, **said(asked, {"model": "model", "priority": "priority", "metadata": "metadata"})}


def _chat(asked: Mapping[str, Any]) -> dict[str, Any]:
    parameters = said(asked, {name: name for name in (*SAMPLING, "seed", "simulate")})
    limit = _limit(asked) or room_to_answer(asked.get("model"))
    return {
        "task_type": TaskType.LLM,
        "input": {"messages": conversation(asked["messages"])},
        "parameters": parameters | limit,
    }


def _limit(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The newer name wins."""
    return said(asked, {"max_new_tokens": "max_tokens"}) | said(asked, {"max_new_tokens": "max_completion_tokens"})


def _image_question(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling is the model's own there."""
    [image] = [image for message in asked["messages"] for image in images_of(message)]
    prompt = "\n".join(text for message in asked["messages"] if (text := text_of(message)))
    return {
        "task_type": TaskType.IMAGE_TO_TEXT,
        "input": {"image": image, **({"prompt": prompt} if prompt.strip() else {})},
        "parameters": said(asked, {"seed": "seed", "simulate": "simulate"}) | _limit(asked),
    }
