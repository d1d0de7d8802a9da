"""Batches under /v1 in every state, without a worker: tasks end the way the real transitions end them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tasks_app import batches, services, transitions
from tasks_app.models import Artifact, OpenAIBatch, OpenAIFile, Task
from tasks_app.openai import batches as theirs
from tasks_app.openai import files
from tasks_app.openai.ids import FILE, parsed
from tasks_app.outcomes import Completed, Measured
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.api.test_submit import data_url, picture
from tests.factories import end, start
from workers_app.models import Model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello!"}]


def requests(count: int) -> bytes:
    lines = [
        {"custom_id": f"r{n}", "method": "POST", "url": CHAT, "body": {"model": "simulated", "messages": HELLO}}
        for n in range(count)
    ]
    return b"\n".join(json.dumps(each).encode() for each in lines)


def upload(api: Client, content: bytes, **fields: Any) -> Any:
    return api.post("/v1/files", {"file": SimpleUploadedFile("r.jsonl", content), "purpose": "batch", **fields})


def create(api: Client, content: bytes) -> dict[str, Any]:
    file = upload(api, content).json()
    asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    answer = api.post("/v1/batches", asked, content_type="application/json")
    assert answer.status_code == 200, answer.json()
    batch: dict[str, Any] = answer.json()
    return batch


def look(api: Client, batch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/batches/{batch['id']}").json()
    return found


def complete(task: Task) -> None:
    end(
        start(task),
        Completed({"text": "Hi!", "finish_reason": "stop"}, measured=Measured(input_tokens=3, output_tokens=2)),
    )


def lines_of(api: Client, file_id: str) -> list[dict[str, Any]]:
    content = b"".join(api.get(f"/v1/files/{file_id}/content").streaming_content)  # type: ignore[arg-type]
    return [json.loads(line) for line in content.splitlines()]


def test_it_is_in_progress_until_its_last_task_has_ended(api: Client) -> None:
    batch = create(api, requests(2))
    first, second = Task.objects.order_by("pk")
    complete(first)
    shown = look(api, batch)
    assert (shown["status"], shown["request_counts"]) == ("in_progress", {"total": 2, "completed": 1, "failed": 0})
    assert shown["output_file_id"] is shown["usage"] is shown["finalizing_at"] is None
    complete(second)
    shown = look(api, batch)
    assert shown["status"] == "completed"
    assert shown["usage"]["total_tokens"] == 10
    assert shown["error_file_id"] is None
    assert [line["custom_id"] for line in lines_of(api, shown["output_file_id"])] == ["r0", "r1"]


def test_its_tasks_wait_for_a_day_behind_what_somebody_waits_for(api: Client) -> None:
    create(api, requests(1))
    task = Task.objects.get()
    assert (task.priority, task.start_timeout) == (3, 24 * 3600)


def test_what_did_not_start_in_its_day_has_expired(api: Client) -> None:
    batch = create(api, requests(2))
    first, second = Task.objects.order_by("pk")
    complete(first)
    Task.objects.filter(pk=second.pk).update(start_deadline=second.created_at - timedelta(hours=1))
    transitions.expire()
    shown = look(api, batch)
    assert (shown["status"], shown["request_counts"]["failed"]) == ("expired", 1)
    assert shown["expired_at"]
    [line] = lines_of(api, shown["error_file_id"])
    assert (line["custom_id"], line["error"]["code"], line["response"]) == ("r1", "batch_expired", None)


def test_a_task_that_was_cancelled_by_itself_cancels_no_batch(api: Client) -> None:
    batch = create(api, requests(2))
    first, second = Task.objects.order_by("pk")
    complete(first)
    services.cancel(second, "somebody")
    assert look(api, batch)["status"] == "completed"


def test_a_cancel_that_comes_too_late_for_all_of_it_changes_nothing(api: Client) -> None:
    batch = create(api, requests(1))
    claimed = start(Task.objects.get())
    assert api.post(f"/v1/batches/{batch['id']}/cancel").json()["status"] == "cancelling"
    end(claimed, Completed({"text": "Hi!", "finish_reason": "stop"}))
    assert look(api, batch)["status"] == "completed"
    error_of(api.post(f"/v1/batches/{batch['id']}/cancel"), 409, "already_finished")


def test_what_was_deleted_is_in_no_file(api: Client) -> None:
    batch = create(api, requests(2))
    first, second = Task.objects.order_by("pk")
    complete(first)
    services.delete(second, "somebody", force=True)
    shown = look(api, batch)
    assert (shown["status"], shown["request_counts"]) == ("completed", {"total": 2, "completed": 1, "failed": 0})


def test_of_two_who_look_at_the_same_time_one_makes_the_files(api: Client, identity: Identity) -> None:
    batch = create(api, requests(1))
    complete(Task.objects.get())
    seen_by_both = OpenAIBatch.objects.select_related("batch", "organization").get()
    assert seen_by_both.batch is not None
    made = look(api, batch)["output_file_id"]
    theirs._close(seen_by_both, batches.standing(seen_by_both.batch))
    assert seen_by_both.output_file_id == parsed(FILE, made)
    assert OpenAIFile.objects.filter(purpose="batch_output").count() == 1
    known = {str(row.file.name) for row in Artifact.objects.all()}
    folder = f"{identity.organization.pk.hex[-2:]}/{identity.organization.pk}"
    assert {f"{folder}/{name}" for name in default_storage.listdir(folder)[1]} == known, "the other one's were removed"


def test_a_list_makes_the_files_of_few_at_a_time(api: Client) -> None:
    for _ in range(5):
        create(api, requests(1))
    for task in Task.objects.all():
        complete(task)

    def statuses() -> list[str]:
        return [batch["status"] for batch in api.get("/v1/batches").json()["data"]]

    assert statuses() == ["completed"] * 3 + ["finalizing"] * 2
    assert statuses() == ["completed"] * 5


def test_a_file_without_a_request_fails(api: Client) -> None:
    batch = create(api, b"\n \n")
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "empty_file")


def test_more_requests_than_a_batch_may_have_are_refused(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.openai.batch_input.MAX_TASKS", 3)
    batch = create(api, requests(5))
    assert [problem["code"] for problem in batch["errors"]["data"]] == ["too_many_requests"]
    assert not Task.objects.exists()


def test_images_of_a_batch_that_is_refused_are_not_kept(api: Client) -> None:
    image = {"type": "image_url", "image_url": {"url": data_url(picture())}}
    body = {"model": "simulated", "messages": [{"role": "user", "content": [image]}]}
    good = json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": body}).encode()
    assert create(api, good + b"\n{")["status"] == "failed"
    assert Artifact.objects.count() == 1, "the file itself"
    assert create(api, good)["status"] == "in_progress"
    assert Task.objects.get().task_type == "image_to_text"


def test_a_batch_that_was_never_stored_leaves_no_row(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(OpenAIBatch, "save", fail)
    with pytest.raises(RuntimeError):
        create(api, requests(2))
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "vision"}, "purpose"),
        ({"file": ""}, "file"),
        ({"expires_after[anchor]": "created_at"}, "expires_after[anchor]"),
    ],
)
def test_an_upload_that_cannot_be_taken_is_refused_by_name(api: Client, fields: dict[str, Any], param: str) -> None:
    assert error_of(upload(api, b"{}", **fields), 400, "invalid_input")["param"] == param


def test_a_file_that_is_too_large_is_refused(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    error_of(upload(api, b"x" * 11), 413, "payload_too_large")
    assert not OpenAIFile.objects.exists()


@pytest.mark.parametrize("address", ["/v1/files/file-1", "/v1/files/1/content", "/v1/batches/batch_x", "/v1/batches/"
                                     "batch_00000000000000000000000000000000"])  # fmt: skip
def test_what_is_not_there_is_not_found(api: Client, address: str) -> None:
    error_of(api.get(address), 404, "not_found")


def test_nothing_of_another_organization_is_found_or_used(api: Client, stranger: Client) -> None:
    batch = create(api, requests(1))
    file = batch["input_file_id"]
    for call, address in (
        (stranger.get, f"/v1/files/{file}"), (stranger.get, f"/v1/files/{file}/content"),
        (stranger.delete, f"/v1/files/{file}"), (stranger.get, f"/v1/batches/{batch['id']}"),
        (stranger.post, f"/v1/batches/{batch['id']}/cancel"),
    ):  # fmt: skip
        error_of(call(address), 404, "not_found")
    asked = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    error_of(stranger.post("/v1/batches", asked, content_type="application/json"), 404, "not_found")
    assert stranger.get("/v1/files").json()["data"] == stranger.get("/v1/batches").json()["data"] == []
    assert look(api, batch)["status"] == "in_progress"


def test_a_model_that_is_gone_by_then_refuses_the_batch(api: Client) -> None:
    Model.objects.update(enabled=False)
    assert create(api, requests(1))["errors"]["data"][0]["code"] == "model_not_found"
