"""Text generation: a prompt or a conversation in, text out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tasks_app.schemas.parameters import Parameters
from tasks_app.schemas.strict import Choice, Integer, ListOf, Number, Strict, Text

MAX_CHARACTERS = 100_000
MAX_MESSAGES = 200


class LlmMessage(Strict):
    role = Choice(("system", "user", "assistant"))
    content = Text(1, MAX_CHARACTERS)


class LlmInput(Strict):
    """Either `prompt` or `messages`."""

    prompt = Text(1, MAX_CHARACTERS, required=False)
    messages = ListOf(LlmMessage(), 1, MAX_MESSAGES, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "prompt" in attrs and "messages" in attrs:
            raise serializers.ValidationError({"messages": ["must be left out when there is a prompt"]})
        if not attrs:
            raise serializers.ValidationError({"prompt": ["is required (or messages)"]})
        if sum(len(message["content"]) for message in attrs.get("messages", ())) > MAX_CHARACTERS:
            raise serializers.ValidationError({"messages": [f"must be at most {MAX_CHARACTERS} characters together"]})
        return attrs


class LlmParameters(Parameters):
    max_new_tokens = Integer(1, 32_768, default=256)
    temperature = Number(0, 2, default=1.0, help_text="0 always takes the most likely token.")
    top_p = Number(0, 1, above=True, default=None, allow_null=True)
    top_k = Integer(0, 1000, default=None, allow_null=True, help_text="0 means all tokens.")
    repetition_penalty = Number(0.5, 2, default=None, allow_null=True)
    stop = ListOf(
        Text(1, 100, white_space=True), 0, 4, default=list, help_text="Texts that end the answer and are no part of it."
    )
