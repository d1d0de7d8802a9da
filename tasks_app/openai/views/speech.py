"""/v1/audio/speech: the sound itself is the answer."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from tasks_app import artifacts
from tasks_app.api.files import FileResponse
from tasks_app.models import Artifact
from tasks_app.openai import documents, failures
from tasks_app.openai.held import HeldView
from tasks_app.openai.requests import speech
from tasks_app.selectors import Shown


class SpeechView(HeldView):
    body = speech.SPEECH_REQUEST

    @documents.create_speech
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)

    def body_of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return speech.body_of(asked)

    def completed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        [output] = shown.outputs
        try:
            return _samples(output) if speech.format_of(asked) == "pcm" else _whole(output)
        except FileNotFoundError:
            return failures.respond(request._request, failures.FILE_GONE)


def _whole(output: Artifact) -> HttpResponseBase:
    headers = {"Content-Length": str(output.size_bytes)}
    file = artifacts.open_file(str(output.file.name))
    return FileResponse(file, output.size_bytes, content_type=output.content_type, headers=headers)


def _samples(output: Artifact) -> HttpResponseBase:
    """What is in a WAV file, without its header: 16 bits, little-endian, one channel."""
    with artifacts.open_file(str(output.file.name)) as file, wave.open(file) as sound:
        headers = {"X-Sample-Rate": str(sound.getframerate())}
        return HttpResponse(sound.readframes(sound.getnframes()), content_type="audio/pcm", headers=headers)
