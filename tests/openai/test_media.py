"""/v1/images/generations, /v1/audio/speech and questions about images, through the package `openai`."""

from __future__ import annotations

import base64
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import soundfile
from openai import OpenAI
from openai.types import ImagesResponse
from PIL import Image

from tests.faults.stack import Stack

pytestmark = pytest.mark.slow
PROMPT = "a red circle on a white background"


def opened(b64: str | None) -> Any:
    return Image.open(BytesIO(base64.b64decode(b64 or "")))


def test_an_image_comes_as_base64(client: OpenAI, stack: Stack) -> None:
    raw = client.images.with_raw_response.generate(
        model="baton-diffusion", prompt=PROMPT, size="64x128", extra_body={"seed": 42, "num_inference_steps": 3}
    )
    answer = raw.parse()
    ImagesResponse.model_validate(answer.to_dict(), strict=True)
    assert (answer.size, answer.output_format) == ("64x128", "png")
    [image] = answer.data or []
    assert (opened(image.b64_json).size, opened(image.b64_json).format) == ((64, 128), "PNG")
    assert stack.get(raw.headers["x-task-id"])["parameters"]["seed"] == 42


def test_images_come_at_addresses_that_open_without_a_key(client: OpenAI) -> None:
    answer = client.images.generate(
        model="simulated", prompt=PROMPT, n=4, size="64x64", response_format="url", output_format="webp"
    )
    assert len(answer.data or []) == 4
    contents = [httpx.get(str(image.url)) for image in answer.data or []]
    assert {content.status_code for content in contents} == {200}
    assert {content.headers["content-type"] for content in contents} == {"image/webp"}
    assert len({content.content for content in contents}) == 4
    assert httpx.get(str((answer.data or [])[0].url) + "x").status_code == 404


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"n": 5}, "n"), ({"size": "1024x1024"}, "size"), ({"size": "65x65"}, "size"), ({"size": "big"}, "size"),
     ({"background": "transparent"}, "background"), ({"stream": True}, "stream")],
)  # fmt: skip
def test_images_that_cannot_be_made_are_refused_by_the_clients_names(
    client: OpenAI, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="baton-diffusion", prompt=PROMPT, **asked)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("kind", "content_type", "container"),
    [("mp3", "audio/mpeg", "MP3"), ("wav", "audio/wav", "WAV"), ("flac", "audio/flac", "FLAC")],
)
def test_speech_comes_as_a_file_of_the_wanted_format(
    client: OpenAI, kind: Any, content_type: str, container: str
) -> None:
    answer = client.audio.speech.create(model="baton-voice", voice="alloy", input="Hello.", response_format=kind)
    assert answer.response.headers["content-type"] == content_type
    assert answer.response.headers["x-task-id"]
    assert soundfile.info(BytesIO(answer.content)).format == container


def test_speech_is_mp3_if_nothing_else_is_asked_for(client: OpenAI) -> None:
    answer = client.audio.speech.create(model="baton-voice", voice="nova", input="Hello.")
    assert soundfile.info(BytesIO(answer.content)).format == "MP3"


def test_speech_is_streamed_into_a_file(client: OpenAI, tmp_path: Path) -> None:
    asked: Any = {"model": "baton-voice", "voice": "alloy", "input": "Hello.", "extra_body": {"seed": 1}}
    whole = client.audio.speech.create(response_format="wav", **asked)
    with client.audio.speech.with_streaming_response.create(response_format="wav", **asked) as answer:
        answer.stream_to_file(tmp_path / "speech.wav")
    assert (tmp_path / "speech.wav").read_bytes() == whole.content


def test_pcm_is_what_the_wav_has_without_its_header(client: OpenAI) -> None:
    def say(kind: Any) -> Any:
        return client.audio.speech.create(
            model="baton-voice", voice="alloy", input="Hello.", response_format=kind, extra_body={"seed": 1}
        )

    pcm = say("pcm")
    with wave.open(BytesIO(say("wav").content)) as sound:
        assert pcm.content == sound.readframes(sound.getnframes())
        assert pcm.response.headers["x-sample-rate"] == str(sound.getframerate())


def test_a_faster_speech_is_a_shorter_one(client: OpenAI) -> None:
    def seconds(speed: float) -> float:
        answer = client.audio.speech.create(
            model="baton-voice", voice="alloy", input="Hello world.", response_format="wav", speed=speed
        )
        return float(soundfile.info(BytesIO(answer.content)).duration)

    assert seconds(2.0) < seconds(1.0)


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"response_format": "opus"}, "response_format"), ({"voice": "nobody"}, "voice"), ({"input": ""}, "input"),
     ({"speed": 9}, "speed"), ({"instructions": "Whisper."}, "instructions"),
     ({"stream_format": "sse"}, "stream_format")],
)  # fmt: skip
def test_speech_that_cannot_be_made_is_refused_by_the_clients_names(
    client: OpenAI, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": "baton-voice", "voice": "alloy", "input": "Hello.", **asked})
    assert caught.value.param == param


def picture() -> str:
    file = BytesIO()
    image = Image.new("RGB", (64, 64), "white")
    image.paste((255, 0, 0), (16, 16, 48, 48))
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.mark.parametrize("question", [[], [{"type": "text", "text": "a"}]], ids=["no question", "a beginning"])
def test_an_image_is_described_by_a_model_that_sees(client: OpenAI, stack: Stack, question: Any) -> None:
    parts = [*question, {"type": "image_url", "image_url": {"url": picture()}}]
    raw = client.chat.completions.with_raw_response.create(
        model="baton-caption", messages=[{"role": "user", "content": parts}]
    )
    [choice] = raw.parse().choices
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert stack.get(raw.headers["x-task-id"])["task_type"] == "image_to_text"


def test_a_model_that_cannot_see_is_not_found_for_an_image(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="baton-chat",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture()}}]}],
        )
    assert "image_to_text" in caught.value.message
