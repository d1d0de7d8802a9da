"""The body of POST /v1/completions: one prompt, of which an `llm` task is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.openai.requests.chat import SAMPLING, Generation
from tasks_app.openai.requests.fields import Only, said
from tasks_app.schemas.llm import MAX_CHARACTERS
from tasks_app.schemas.strict import MESSAGES, Text
from workers_app.models import TaskType

USUAL_TOKENS = 16  # where a request sets no limit, as these clients expect of this route


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
                "minItems": 1,
                "maxItems": 1,
            },
        ]
    }
)
class Prompt(serializers.Field[Any, Any, Any, Any]):
    """A text, or a list of one; tokens and several prompts in one request are refused."""

    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list) and (len(data) != 1 or not isinstance(data[0], str)):
            raise serializers.ValidationError("must be one text: send a request for each prompt, and no tokens")
        return Text(1, MAX_CHARACTERS).run_validation(data[0] if isinstance(data, list) else data)


class CompletionRequest(Generation):
    prompt = Prompt()
    best_of = Only(1)
    echo = Only(False)
    logprobs = Only()
    suffix = Only("")


COMPLETION_REQUEST = CompletionRequest()


def body_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the task, as of POST /tasks/."""
    parameters = said(asked, {name: name for name in (*SAMPLING, "seed", "simulate")})
    return {
        "task_type": TaskType.LLM,
        "input": {"prompt": asked["prompt"]},
        "parameters": parameters | {"max_new_tokens": asked.get("max_tokens") or USUAL_TOKENS},
        **said(asked, {"model": "model", "priority": "priority"}),
    }
