"""The main job with real processes and the shipped models: submit each task type over HTTP, watch it, read it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator

import httpx
import pytest
import soundfile
from PIL import Image, ImageDraw

from tests.faults import oracle
from tests.faults.stack import Stack, running_stack

pytestmark = pytest.mark.faults
TYPES = ["llm", "stable_diffusion", "tts", "image_to_text"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("journeys"), ENGINE_PRELOAD="1") as stack:
        yield stack
        oracle.check(stack.servers.database_url, stack.directory / "data" / "artifacts")


def data_url() -> str:
    image = Image.new("RGB", (96, 96), (245, 245, 245))
    ImageDraw.Draw(image).ellipse((24, 24, 72, 72), fill=(220, 30, 30))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def run(stack: Stack, task_type: str, input_: dict, parameters: dict | None = None) -> dict:
    response = stack.api.post("/tasks/", json={"task_type": task_type, "input": input_, "parameters": parameters or {}})
    assert response.status_code == 201, response.text
    return stack.wait_for(response.json()["task_id"], "completed", seconds=90)


def download(stack: Stack, task: dict, content_type: str) -> bytes:
    [artifact] = [a for a in task["artifacts"] if a["content_type"] == content_type]
    response = stack.api.get(artifact["url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert hashlib.sha256(response.content).hexdigest() == artifact["sha256"]
    return response.content


def test_a_chat_answers_and_the_same_seed_answers_the_same(stack):
    parameters = {"seed": 7, "temperature": 0.8, "max_new_tokens": 60}
    first = run(stack, "llm", {"prompt": "Tell me a story."}, parameters)
    again = run(stack, "llm", {"messages": [{"role": "user", "content": "Tell me a story."}]}, parameters)
    assert first["result"]["text"] == again["result"]["text"] != ""
    assert first["usage"]["output_tokens"] > 0
    assert first["timings"]["model_load_seconds"] is not None
    assert again["timings"]["model_load_seconds"] == 0.0


def test_an_image_opens_as_png_in_its_size_and_the_same_seed_gives_the_same_bytes(stack):
    parameters = {"width": 64, "height": 64, "num_inference_steps": 4, "seed": 11}
    first = run(stack, "stable_diffusion", {"prompt": "a red circle on a white background"}, parameters)
    again = run(stack, "stable_diffusion", {"prompt": "a red circle on a white background"}, parameters)
    image = Image.open(io.BytesIO(download(stack, first, "image/png")))
    assert image.size == (64, 64)
    assert first["result"]["images"][0]["artifact_id"] == first["artifacts"][0]["artifact_id"]
    assert first["artifacts"][0]["sha256"] == again["artifacts"][0]["sha256"]


def test_speech_opens_as_wav_with_the_duration_that_is_told(stack):
    first = run(stack, "tts", {"text": "Hello world."}, {"seed": 3})
    again = run(stack, "tts", {"text": "Hello world."}, {"seed": 3})
    samples, rate = soundfile.read(io.BytesIO(download(stack, first, "audio/wav")))
    audio = first["result"]["audio"]
    assert (rate, round(len(samples) / rate, 2)) == (audio["sample_rate"], round(audio["duration_seconds"], 2))
    assert first["artifacts"][0]["sha256"] == again["artifacts"][0]["sha256"]


def test_an_image_gets_a_caption(stack):
    task = run(stack, "image_to_text", {"image": data_url()})
    assert re.search(r"\w+", task["result"]["text"])
    assert task["input"]["image"].startswith("artifact://")


@pytest.mark.parametrize("task_type", TYPES)
def test_every_type_runs_simulated_and_shows_its_progress(stack, task_type):
    inputs = {"tts": {"text": "Hello there."}, "image_to_text": {"image": data_url()}}
    task = stack.submit(
        task_type, input=inputs.get(task_type, {"prompt": "hello"}), simulate={"seconds": 1.5, "steps": 15}
    )
    running = stack.wait_for(task, "running")
    seen = set()
    while running["status"] == "running":
        seen.add((running["progress"] or {}).get("step"))
        running = stack.api.get(f"/tasks/{task}").json()
    assert len(seen - {None}) >= 2
    done = stack.wait_for(task, "completed")
    assert done["progress"]["fraction"] == 1.0


def test_bad_input_is_refused_before_anything_is_stored(stack):
    body = {"task_type": "stable_diffusion", "input": {"prompt": "x"}, "parameters": {"num_inference_steps": 151}}
    response = stack.api.post("/tasks/", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "parameters.num_inference_steps")
    assert "150" in error["message"]


def test_what_only_the_model_can_know_is_told_by_name(stack):
    response = stack.api.post("/tasks/", json={"task_type": "llm", "input": {"prompt": "story " * 3000}})
    task = stack.wait_for(response.json()["task_id"], "failed")
    assert task["error"]["code"] == "invalid_input"
    assert re.search(r"\d+ tokens", task["error"]["message"])
    assert task["attempt"] == 1


def test_a_stranger_sees_nothing_and_nobody_gets_in_without_a_key(stack):
    task = stack.submit(simulate={"seconds": 0})
    assert httpx.get(f"{stack.api.base_url}/tasks/{task}", timeout=60).status_code == 401
    wrong = {"Authorization": "Bearer baton_aaaaaaaa_" + "x" * 43}
    assert httpx.get(f"{stack.api.base_url}/tasks/{task}", headers=wrong, timeout=60).status_code == 401
    stack.wait_for(task, "completed")
