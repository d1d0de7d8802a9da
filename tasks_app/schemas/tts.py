"""Text to speech."""

from __future__ import annotations

from tasks_app.schemas.parameters import Parameters
from tasks_app.schemas.strict import Choice, Number, Strict, Text


class TtsInput(Strict):
    text = Text(1, 5_000)


class TtsParameters(Parameters):
    voice = Text(1, 100, default=None, allow_null=True, help_text="A voice of the model, by name or number.")
    speed = Number(0.25, 4, default=1.0)
    format = Choice(("wav", "flac", "mp3", "ogg"), default="wav")
