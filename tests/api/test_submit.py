"""POST /tasks/."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image

from tasks_app import services
from tasks_app.models import Artifact, Task, TaskEvent
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import make_key, make_user
from workers_app.models import Model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
MINIMAL: dict[str, dict[str, Any]] = {
    "llm": {"prompt": "Hello"},
    "stable_diffusion": {"prompt": "a red fox"},
    "tts": {"text": "Hello."},
    "image_to_text": {"image": "https://example.com/fox.png"},
}


def post(client: Client, body: Any, content_type: str = "application/json") -> Any:
    return client.post("/tasks/", body, content_type=content_type)


def submit(client: Client, **fields: Any) -> Any:
    task_type = fields.setdefault("task_type", "llm")
    return post(client, {"input": MINIMAL.get(task_type), **fields})


def picture(size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def test_a_task_is_accepted_with_every_default_filled_in(api: Client) -> None:
    response = submit(api)
    assert response.status_code == 201, response.json()
    task = response.json()
    assert response["Location"] == task["urls"]["self"]
    assert (task["status"], task["priority"], task["model"]) == ("pending", 5, "simulated")
    assert task["parameters"] == {
        "seed": None, "max_new_tokens": 256, "temperature": 1.0, "top_p": None, "top_k": None,
        "repetition_penalty": None, "stop": [],
    }  # fmt: skip
    assert Task.objects.get().parameters == task["parameters"]
    assert TaskEvent.objects.get().type == "task.created"


@pytest.mark.parametrize("task_type", MINIMAL)
def test_each_task_type_is_accepted_with_nothing_but_its_input(api: Client, task_type: str) -> None:
    task = submit(api, task_type=task_type).json()
    assert task["task_type"] == task_type
    assert task["input"] == MINIMAL[task_type]
    assert api.get(task["urls"]["self"]).json() == task


def test_everything_that_may_be_asked_is_kept(api: Client) -> None:
    asked = {
        "model": "simulated", "priority": 9, "start_timeout": 60.0, "execution_timeout": 30.0, "max_attempts": 1,
        "run_at": "2001-02-03T04:05:06Z", "webhook_url": "https://example.com/hook", "metadata": {"order": "17 é"},
        "parameters": {"seed": 2**63 - 1, "stop": ["\n"], "temperature": 0, "simulate": {"seconds": 0.01}},
    }  # fmt: skip
    response = submit(api, **asked)
    task = response.json()
    assert response.status_code == 201, task
    assert {name: task[name] for name in ("model", "priority", "max_attempts", "webhook_url", "metadata")} == {
        name: asked[name] for name in ("model", "priority", "max_attempts", "webhook_url", "metadata")
    }
    assert task["limits"] == {"start_timeout": 60.0, "execution_timeout": 30.0}
    assert task["not_before"] == "2001-02-03T04:05:06Z"
    assert task["parameters"]["seed"] == 2**63 - 1
    assert task["parameters"]["simulate"]["seconds"] == 0.01


def test_the_task_belongs_to_the_organization_and_user_of_the_key(organization: Organization) -> None:
    user = make_user(organization, name="jo")
    client = Client(headers={"Authorization": f"Bearer {make_key(organization, user)}"})
    task = submit(client).json()
    assert (task["organization"], task["user"]) == ("acme", "jo")
    assert api_sees(client, task["task_id"]) == task


def api_sees(client: Client, task_id: str) -> Any:
    return client.get(f"/tasks/{task_id}").json()


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"task_type": "llm"}, "input", "input is required"),
        ({"input": {"prompt": "a"}}, "task_type", "task_type is required"),
        ({"task_type": "llm", "input": {"prompt": "a", "text": "b"}}, "input.text", "text is not a known field"),
        ({"task_type": "stable_diffusion", "input": {"prompt": "a"}, "parameters": {"num_inference_steps": 151}},
         "parameters.num_inference_steps", "num_inference_steps must be 1 to 150"),
        ({"task_type": "tts", "input": {"text": "a"}, "parameters": []}, "parameters", "parameters must be an object"),
        ({"task_type": "llm", "input": {"prompt": "a"}, "parameters": {"simulate": {"steps": True}}},
         "parameters.simulate.steps", "steps must be 1 to 10000"),
        ({"task_type": "llm", "input": {"prompt": "a"}, "priority": "5"}, "priority", "priority must be 1 to 10"),
        ({"task_type": "llm", "input": {"prompt": "a"}, "prompt": "b"}, "prompt", "prompt is not a known field"),
        ([], None, "The body must be an object"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_and_named(api: Client, body: Any, param: str | None, message: str) -> None:
    error = error_of(post(api, body), 400, "invalid_input")
    assert (error["param"], error["message"], error["type"]) == (param, message, "invalid_request_error")
    assert not error["retryable"]
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (rb'{"task_type":"llm","input":{"prompt":"a\u0000b"}}', "input.prompt"),
        (rb'{"task_type":"llm","input":{"prompt":"a\ud800b"}}', "input.prompt"),
        (rb'{"task_type":"llm","input":{"messages":[{"role":"user","content":"\udfff"}]}}', "input.messages.0.content"),
        (rb'{"task_type":"llm","input":{"prompt":"a"},"metadata":{"\u0000":"b"}}', "metadata.\x00"),
        (b'{"task_type":"llm","input":{"prompt":"a"},"priority":NaN}', None),
        (b'{"task_type":"llm","input":{"prompt":"a"},"priority":Infinity}', None),
        (b'{"task_type":"llm","input":{"prompt":"a"},"priority":1e999}', None),
        (b'{"task_type":"llm","input":{"prompt":"\xff"}}', None),
        (b'{"task_type":', None),
        (b"", "task_type"),
        (b"[" * 50_000, None),
        (b'{"task_type":"llm","input":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", "input.a"),
        (b'{"task_type":"llm","input":{"prompt":"a"},"priority":' + b"9" * 5000 + b"}", None),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_or_read_is_refused_and_named(api: Client, body: bytes, param: str | None) -> None:
    assert error_of(post(api, body), 400, "invalid_input")["param"] == param


def test_a_body_that_is_too_large_is_413(api: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    error_of(post(api, {"task_type": "llm", "input": {"prompt": "x" * 1000}}), 413, "payload_too_large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_json_is_415(api: Client, content_type: str) -> None:
    error_of(post(api, "a=b", content_type), 415, "unsupported_media_type")


def test_an_unknown_model_is_404_and_named(api: Client) -> None:
    error = error_of(submit(api, model="gpt-9"), 404, "model_not_found")
    assert error["param"] == "model"
    assert "gpt-9" in error["message"]


def test_a_disabled_model_is_not_found(api: Client) -> None:
    Model.objects.update(enabled=False)
    error_of(submit(api, model="simulated"), 404, "model_not_found")
    error_of(submit(api), 404, "model_not_found")


def test_a_model_of_another_task_type_is_not_found(api: Client) -> None:
    Model.objects.create(task_type="tts", name="voice-1")
    error_of(submit(api, model="voice-1"), 404, "model_not_found")


def test_without_a_name_the_default_model_is_taken_and_a_simulated_one_only_if_alone(api: Client) -> None:
    Model.objects.update(is_default=False)
    Model.objects.create(task_type="llm", name="zebra")
    assert submit(api).json()["model"] == "zebra"


def test_the_models_defaults_stand_in_for_the_types(api: Client) -> None:
    Model.objects.filter(task_type="stable_diffusion").update(defaults={"width": 64, "num_inference_steps": 20})
    parameters = submit(api, task_type="stable_diffusion", parameters={"width": 128}).json()["parameters"]
    assert (parameters["width"], parameters["num_inference_steps"]) == (128, 20)


def test_the_models_limits_cap_what_is_asked_for(api: Client) -> None:
    Model.objects.filter(task_type="llm").update(limits={"max_new_tokens": 100})
    error = error_of(submit(api, parameters={"max_new_tokens": 101}), 400, "invalid_input")
    assert error["param"] == "parameters.max_new_tokens"
    assert error["message"] == "max_new_tokens must be at most 100 for this model"
    assert submit(api, parameters={"max_new_tokens": 100}).status_code == 201
    assert submit(api).json()["parameters"]["max_new_tokens"] == 100


def test_a_models_limit_of_pixels_counts_width_times_height(api: Client) -> None:
    Model.objects.filter(task_type="stable_diffusion").update(limits={"max_pixels": 65536})
    too_many = submit(api, task_type="stable_diffusion", parameters={"width": 512, "height": 256})
    assert "65536 pixels" in error_of(too_many, 400, "invalid_input")["message"]
    assert submit(api, task_type="stable_diffusion", parameters={"width": 256, "height": 256}).status_code == 201


def test_only_simulated_models_are_told_what_to_simulate(api: Client) -> None:
    Model.objects.filter(task_type="llm").update(runner="transformers")
    error = error_of(submit(api, parameters={"simulate": {}}), 400, "invalid_input")
    assert error["param"] == "parameters.simulate"


@pytest.mark.parametrize(("kind", "form"), [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP")])
def test_a_data_url_becomes_an_artifact_and_never_lies_in_the_row(api: Client, kind: str, form: str) -> None:
    content = picture(kind=form)
    task = submit(api, task_type="image_to_text", input={"image": data_url(content, kind)}).json()
    artifact = Artifact.objects.get()
    assert task["input"]["image"] == f"artifact://{artifact.id}"
    assert task["artifacts"] == []
    assert (str(artifact.task_id), artifact.is_input, artifact.content_type) == (task["task_id"], True, kind)
    assert api.get(f"/artifacts/{artifact.id}").getvalue() == content


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("http://example.com/a.png", "image must be artifact://<id>, an https URL"),
        ("file:///etc/passwd", "image must be artifact://<id>, an https URL"),
        ("https://" + "a" * 2000, "image must be artifact://<id>, an https URL"),
        ("data:text/html;base64,AAAA", "image must be a base64 data URL of a PNG"),
        ("data:image/svg+xml;base64,AAAA", "image must be a base64 data URL of a PNG"),
        ("data:image/png;base64,é", "image must be valid base64"),
        ("data:image/png;base64,AAAA", "image must be a PNG, JPEG, WebP or GIF image"),
        ("artifact://nonsense", "image names an artifact that does not exist"),
        ("artifact://01a20b00-7401-731c-b60b-aa1b0cd862d6", "image names an artifact that does not exist"),
    ],
)
def test_an_image_that_cannot_be_used_is_refused(api: Client, image: str, message: str) -> None:
    error = error_of(submit(api, task_type="image_to_text", input={"image": image}), 400, "invalid_input")
    assert error["param"] == "input.image"
    assert error["message"].startswith(message)
    assert not Artifact.objects.exists()


def test_an_image_is_measured_before_it_is_unpacked(api: Client, settings: Any) -> None:
    settings.MAX_IMAGE_PIXELS = 99
    too_many = submit(api, task_type="image_to_text", input={"image": data_url(picture((10, 10)))})
    assert "99 pixels" in error_of(too_many, 400, "invalid_input")["message"]
    settings.MAX_IMAGE_PIXELS, settings.MAX_IMAGE_BYTES = 100, 20
    too_large = submit(api, task_type="image_to_text", input={"image": data_url(picture((10, 10)))})
    assert "20 bytes" in error_of(too_large, 400, "invalid_input")["message"]


def test_the_artifact_of_another_organization_cannot_be_used(api: Client, stranger: Client) -> None:
    theirs = submit(stranger, task_type="image_to_text", input={"image": data_url(picture())}).json()["input"]["image"]
    error = error_of(submit(api, task_type="image_to_text", input={"image": theirs}), 400, "invalid_input")
    assert error["message"] == "image names an artifact that does not exist"


def test_a_task_that_could_not_be_stored_leaves_no_file(
    api: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path

    def fail(*_: Any) -> None:
        assert list(tmp_path.rglob("*.png")), "the file was not stored before the row"
        raise RuntimeError("the database said no")

    monkeypatch.setattr(services, "submit_once", fail)
    with pytest.raises(RuntimeError):
        submit(api, task_type="image_to_text", input={"image": data_url(picture())})
    assert not list(tmp_path.rglob("*.png"))
    assert default_storage.location == str(tmp_path)


def test_slashes_at_the_end_are_optional(api: Client) -> None:
    body = json.dumps({"task_type": "llm", "input": MINIMAL["llm"]})
    assert api.post("/tasks", body, content_type="application/json").status_code == 201
