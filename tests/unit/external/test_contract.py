"""What a plain Celery worker is given, and how its answer is read."""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path
from typing import Any

import pytest

from gpu_worker.engine.protocol import Completed, Failed, ModelSpec, Submit
from gpu_worker.external import contract
from tests.faults.foreign import PNG

IMAGE = base64.b64decode(PNG)


def request(tmp_path: Path, task_type: str = "llm", **content: Any) -> Submit:
    return Submit("a-1", ModelSpec("m", task_type, "transformers"), content, {"seed": 1}, str(tmp_path), task_id="t-1")


def answered(tmp_path: Path, task_type: str, value: Any) -> Completed | Failed:
    return contract.completed(request(tmp_path, task_type), value, 1.5)


def wav() -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(1600))
    return base64.b64encode(file.getvalue()).decode()


def test_the_worker_gets_four_keyword_arguments(tmp_path):
    given = contract.arguments(request(tmp_path, prompt="Hi"))
    assert given == {"task_id": "t-1", "model": "m", "input": {"prompt": "Hi"}, "parameters": {"seed": 1}}


def test_an_image_travels_as_a_data_url(tmp_path):
    (tmp_path / "input.png").write_bytes(IMAGE)
    given = contract.arguments(request(tmp_path, "image_to_text", image=str(tmp_path / "input.png"), prompt="What?"))
    assert given["input"] == {"image": f"data:image/png;base64,{PNG}", "prompt": "What?"}


@pytest.mark.parametrize(
    ("task_type", "value", "result"),
    [
        ("llm", "Hi", {"text": "Hi", "finish_reason": "stop"}),
        ("llm", {"text": "Hi", "finish_reason": "length"}, {"text": "Hi", "finish_reason": "length"}),
        ("image_to_text", "a cat", {"text": "a cat"}),
        ("image_to_text", {"text": "a cat"}, {"text": "a cat"}),
    ],
)
def test_text_is_taken_plain_or_in_an_object(tmp_path, task_type, value, result):
    outcome = answered(tmp_path, task_type, value)
    assert isinstance(outcome, Completed)
    assert (outcome.result, outcome.inference_seconds) == (result, 1.5)


@pytest.mark.parametrize("data", [PNG, f"data:image/png;base64,{PNG}"])
def test_an_image_becomes_a_file_whose_kind_and_size_are_read_from_its_bytes(tmp_path, data):
    outcome = answered(tmp_path, "stable_diffusion", {"images": [{"data": data, "seed": 3, "width": 9999}]})
    assert isinstance(outcome, Completed)
    assert outcome.result == {"images": [{"file": 0, "width": 1, "height": 1, "seed": 3}]}
    [file] = outcome.files
    assert (Path(file.path).read_bytes(), file.content_type) == (IMAGE, "image/png")


def test_audio_becomes_a_file_whose_kind_and_length_are_read_from_its_bytes(tmp_path):
    outcome = answered(tmp_path, "tts", {"audio": {"data": wav(), "content_type": "text/html"}})
    assert isinstance(outcome, Completed)
    assert outcome.result == {"audio": {"file": 0, "format": "wav", "sample_rate": 8000, "duration_seconds": 0.1}}
    assert outcome.files[0].content_type == "audio/wav"


@pytest.mark.parametrize(
    ("task_type", "value", "message"),
    [
        ("llm", None, "no answer that is an object"),
        ("llm", {"answer": 42}, "must have a text"),
        ("llm", {"text": "x" * (contract.MAX_TEXT + 1)}, "must have a text"),
        ("llm", {"text": "x", "finish_reason": "tired"}, "finish_reason"),
        ("stable_diffusion", {"images": []}, "1 to 4 images"),
        ("stable_diffusion", {"images": [{"data": PNG}] * 5}, "1 to 4 images"),
        ("stable_diffusion", {"images": [{"path": "/etc/passwd"}]}, "must have data"),
        ("stable_diffusion", {"images": [{"data": "%"}]}, "no base64"),
        ("stable_diffusion", {"images": [{"data": "aGVsbG8="}]}, "must be a PNG"),
        ("tts", {"audio": {"data": PNG}}, "audio that is none of"),
        ("tts", {"audio": "beep"}, "no audio that is an object"),
    ],
)
def test_another_answer_is_a_failure_that_says_what_is_wrong(tmp_path, task_type, value, message):
    outcome = answered(tmp_path, task_type, value)
    assert isinstance(outcome, Failed)
    assert outcome.code == "internal_error"
    assert message in outcome.message


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("ValueError", "invalid_input", "too long"),
        ("OutOfMemoryError", "cuda_out_of_memory", "OutOfMemoryError: too long"),
        ("TimeLimitExceeded", "execution_timeout", "TimeLimitExceeded: too long"),
        ("WorkerLostError", "engine_crashed", "WorkerLostError: too long"),
        ("KeyError", "internal_error", "KeyError: too long"),
    ],
)
def test_the_name_of_the_exception_chooses_the_failure_code(name, code, message):
    outcome = contract.failed(name, "too long", "Traceback …", 2.0)
    assert (outcome.code, outcome.message, outcome.detail) == (code, message, "Traceback …")
