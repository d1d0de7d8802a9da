"""The body of POST /v1/audio/speech, of which a `tts` task is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.openai.requests.fields import Only, said, same
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TASK_REQUEST
from tasks_app.schemas.strict import MESSAGES, Choice, Strict, Text
from workers_app.models import TaskType
from workers_app.selectors import find_model

OURS = SCHEMAS[TaskType.TTS].parameters.fields
FORMATS = {"mp3": "mp3", "flac": "flac", "wav": "wav", "ogg": "ogg", "pcm": "wav"}  # theirs: the file that is made
# Clients must name a voice, and most name one of these. To a model that does not have it, it means its own voice.
ANY_VOICE = {
    "default", "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
    "marin", "cedar",
}  # fmt: skip


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": 100},
            {
                "type": "object",
                "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 100}},
                "required": ["id"],
                "additionalProperties": False,
            },
        ]
    }
)
class Voice(serializers.Field[Any, Any, Any, Any]):
    """A voice by its name, or as an object with its id."""

    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> Any:
        name = data["id"] if isinstance(data, dict) and set(data) == {"id"} else data
        return Text(1, 100).run_validation(name)


class SpeechRequest(Strict):
    input = SCHEMAS[TaskType.TTS].input.fields["text"]
    model = same(TASK_REQUEST.fields["model"])
    voice = Voice(required=False, allow_null=True)
    response_format = Choice(tuple(FORMATS), required=False, allow_null=True)
    speed = same(OURS["speed"])
    stream_format = Only("audio")
    instructions = Only("")
    seed = same(OURS["seed"])
    simulate = same(OURS["simulate"])
    priority = same(TASK_REQUEST.fields["priority"])


SPEECH_REQUEST = SpeechRequest()


def format_of(asked: Mapping[str, Any]) -> str:
    return asked.get("response_format") or "mp3"


def body_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the task, as of POST /tasks/."""
    parameters = said(asked, {name: name for name in ("speed", "seed", "simulate")})
    return {
        "task_type": TaskType.TTS,
        "input": {"text": asked["input"]},
        "parameters": parameters | {"format": FORMATS[format_of(asked)]} | _voice(asked),
        **said(asked, {"model": "model", "priority": "priority"}),
    }


def _voice(asked: Mapping[str, Any]) -> dict[str, str]:
    voice = asked.get("voice")
    model = find_model(TaskType.TTS, asked.get("model"))
    has_it = model is not None and voice in model.options.get("voices", ())
    return {} if voice is None or (voice in ANY_VOICE and not has_it) else {"voice": voice}
