"""POST /tasks/batch/, GET /tasks/batch/{id}, PATCH and POST /tasks/batch/{id}/cancel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import batches, services
from tasks_app.models import Batch, Task, TaskEvent
from tasks_app.outcomes import Completed, Failed
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.api.test_submit import data_url, picture
from tests.factories import INPUTS, RESULTS, end, make_user, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
LLM = {"task_type": "llm", "input": {"prompt": "Hello"}}


def post(client: Client, *tasks: Any, **fields: Any) -> Any:
    return client.post("/tasks/batch/", {"tasks": list(tasks), **fields}, content_type="application/json")


def make_batch(identity: Identity, size: int) -> Batch:
    new = [services.NewTask("llm", "simulated", INPUTS["llm"]) for _ in range(size)]
    return batches.submit(identity, batches.NewBatch(), new)


def tasks_of(batch: Batch) -> list[Task]:
    return list(Task.objects.filter(batch_id=batch.pk).order_by("pk"))


def cancel(client: Client, batch: Batch, verb: str = "patch") -> Any:
    return getattr(client, verb)(f"/tasks/batch/{batch.pk}/cancel")


# ---------------------------------------------------------------- submit


def test_all_tasks_of_a_batch_are_accepted_in_their_order(api: Client) -> None:
    asked = [{"task_type": kind, "input": content} for kind, content in INPUTS.items()]
    response = post(api, *asked, metadata={"run": "7"})
    shown = response.json()
    assert response.status_code == 201, shown
    assert response["Location"] == shown["urls"]["self"] == f"/tasks/batch/{shown['batch_id']}"
    assert (shown["total"], shown["metadata"], shown["organization"]) == (4, {"run": "7"}, "acme")
    rows = [Task.objects.get(pk=task_id) for task_id in shown["task_ids"]]
    assert [row.task_type for row in rows] == list(INPUTS)
    assert {row.batch_id for row in rows} == {UUID(shown["batch_id"])}
    assert TaskEvent.objects.filter(type="task.created").count() == 4
    assert len(api.get(shown["urls"]["tasks"]).json()["results"]) == 4


def test_the_tasks_are_written_in_a_few_statements(api: Client, django_assert_max_num_queries: Any) -> None:
    post(api, LLM)  # the key, and the model
    with django_assert_max_num_queries(20):
        assert post(api, *[LLM] * 600).status_code == 201


def test_one_bad_task_refuses_the_batch_and_each_bad_one_is_named(api: Client, tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    steps = {"task_type": "stable_diffusion", "input": {"prompt": "a"}, "parameters": {"num_inference_steps": 151}}
    picture_task = {"task_type": "image_to_text", "input": {"image": data_url(picture())}}
    response = post(api, LLM, picture_task, steps, LLM | {"model": "gpt-9"}, None, "text", LLM | {"mode": 1})
    error = error_of(response, 400, "invalid_input")
    assert error["param"] == "tasks[2].parameters.num_inference_steps"
    assert error["message"] == f"{error['param']} must be 1 to 150 (and 4 more of the tasks)"
    assert [problem["param"] for problem in response.json()["errors"]] == [
        "tasks[2].parameters.num_inference_steps", "tasks[3].model", "tasks[4]", "tasks[5]", "tasks[6].mode",
    ]  # fmt: skip
    assert "gpt-9" in response.json()["errors"][1]["message"]
    assert not Task.objects.exists()
    assert not Batch.objects.exists()
    assert not list(tmp_path.rglob("*.png"))


def test_no_more_than_twenty_are_listed_and_all_are_counted(api: Client) -> None:
    response = post(api, *[{}] * 30)
    assert "29 more" in error_of(response, 400, "invalid_input")["message"]
    assert len(response.json()["errors"]) == 20


def test_a_batch_that_could_not_be_stored_leaves_no_file(
    api: Client, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT = tmp_path

    def fail(*_: Any, **__: Any) -> None:
        assert list(tmp_path.rglob("*.png")), "the file was not stored before the rows"
        raise RuntimeError("the database said no")

    monkeypatch.setattr(services, "insert", fail)
    with pytest.raises(RuntimeError):
        post(api, {"task_type": "image_to_text", "input": {"image": data_url(picture())}})
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "tasks"),
        ({"tasks": []}, "tasks"),
        ({"tasks": {}}, "tasks"),
        ({"tasks": [LLM] * 10_001}, "tasks"),
        ({"tasks": [LLM], "priority": 5}, "priority"),
        ({"tasks": [LLM], "metadata": {"a": 1}}, "metadata.a"),
        ([LLM], None),
    ],
    ids=["nothing", "empty", "object", "too-many", "unknown", "metadata", "list"],
)
def test_a_body_that_is_no_batch_is_refused_and_named(api: Client, body: Any, param: str | None) -> None:
    response = api.post("/tasks/batch/", body, content_type="application/json")
    assert error_of(response, 400, "invalid_input")["param"] == param


def test_a_body_that_is_too_large_is_413_and_says_how_much_may_come(api: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert "1000 bytes" in error_of(post(api, *[LLM] * 100), 413, "payload_too_large")["message"]


# ---------------------------------------------------------------- read


def test_a_batch_says_how_many_of_its_tasks_are_what(api: Client, identity: Identity) -> None:
    batch = make_batch(identity, 4)
    done, failed, running, _ = tasks_of(batch)
    assert api.get(f"/tasks/batch/{batch.pk}").json()["progress"] == {"fraction": 0.0, "ended": 0}
    end(start(done), Completed(RESULTS["llm"]))
    end(start(failed), Failed("invalid_input", "it was bad"))
    start(running)
    shown = api.get(f"/tasks/batch/{batch.pk}").json()
    assert {status: count for status, count in shown["counts"].items() if count} == {
        "completed": 1, "failed": 1, "running": 1, "pending": 1,
    }  # fmt: skip
    assert (shown["total"], shown["progress"], shown["finished_at"]) == (4, {"fraction": 0.5, "ended": 2}, None)


def test_a_batch_has_finished_with_its_last_task(api: Client, identity: Identity) -> None:
    batch = make_batch(identity, 2)
    for task in tasks_of(batch):
        end(start(task), Completed(RESULTS["llm"]))
    last = Task.objects.order_by("-completed_at").first()
    shown = api.get(f"/tasks/batch/{batch.pk}").json()
    assert last is not None
    assert last.completed_at is not None
    assert shown["finished_at"] == last.completed_at.isoformat().replace("+00:00", "Z")
    assert shown["progress"]["fraction"] == 1.0


def test_deleted_tasks_count_as_ended(api: Client, identity: Identity) -> None:
    batch = make_batch(identity, 2)
    services.delete(tasks_of(batch)[0], "tester", force=True)
    shown = api.get(f"/tasks/batch/{batch.pk}").json()
    assert (shown["total"], shown["counts"]["pending"], shown["progress"]["fraction"]) == (2, 1, 0.5)


def test_a_stranger_sees_and_cancels_no_batch_and_staff_see_all(
    stranger: Client, identity: Identity, client: Client
) -> None:
    batch = make_batch(identity, 1)
    error_of(stranger.get(f"/tasks/batch/{batch.pk}"), 404, "not_found")
    error_of(cancel(stranger, batch), 404, "not_found")
    error_of(stranger.get("/tasks/batch/nonsense"), 404, "not_found")
    assert Task.objects.get().status == "pending"
    client.force_login(make_user(identity.organization, staff=True))
    assert client.get(f"/tasks/batch/{batch.pk}").status_code == 200


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("verb", ["patch", "post"])
def test_all_that_has_not_ended_is_cancelled(api: Client, identity: Identity, verb: str) -> None:
    batch = make_batch(identity, 3)
    done, running, _ = tasks_of(batch)
    end(start(done), Completed(RESULTS["llm"]))
    start(running)
    response = cancel(api, batch, verb)
    assert response.status_code == 202
    assert response.json() == {"batch_id": str(batch.pk), "cancelled": 1, "cancelling": 1, "already_finished": 1}


def test_a_batch_of_a_thousand_cancelled_twice_when_half_is_done_gives_the_same_exact_answer_twice(
    api: Client, identity: Identity
) -> None:
    batch, other = make_batch(identity, 1000), make_batch(identity, 2)
    half = tasks_of(batch)[:500]
    # As if they had ended: a thousand real walks take too long here.
    Task.objects.filter(pk__in=[task.pk for task in half]).update(
        status="completed", result={}, completed_at=batch.created_at
    )
    first, second = cancel(api, batch), cancel(api, batch)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert first.json() == {"batch_id": str(batch.pk), "cancelled": 500, "cancelling": 0, "already_finished": 500}
    ids = [task.pk for task in tasks_of(batch)]
    assert TaskEvent.objects.filter(task__in=ids, type="task.cancelled").count() == 500
    assert {task.status for task in tasks_of(other)} == {"pending"}


# ---------------------------------------------------------------- retry and results


def test_the_failures_of_a_batch_become_a_new_batch_once(api: Client, identity: Identity) -> None:
    batch = make_batch(identity, 4)
    failed, expired, completed, _ = tasks_of(batch)
    end(start(failed), Failed("model_load_failed", "no such file", ""))
    end(start(completed), Completed(RESULTS["llm"]))
    Task.objects.filter(pk=expired.pk).update(status="expired", completed_at=timezone.now())
    shown = api.post(f"/tasks/batch/{batch.pk}/retry").json()
    assert (shown["retried"], shown["skipped"]) == (2, {"already_retried": 0, "not_failed": 2})
    again = Task.objects.filter(batch_id=shown["batch_id"]).order_by("pk")
    assert [task.retry_of for task in again] == [failed.pk, expired.pk]
    assert api.get(f"/tasks/batch/{shown['batch_id']}").json()["total"] == 2
    twice = api.post(f"/tasks/batch/{batch.pk}/retry").json()
    assert (twice["batch_id"], twice["retried"], twice["skipped"]["already_retried"]) == (None, 0, 2)


def test_a_retry_that_is_sent_again_with_its_key_is_told_what_it_made(api: Client, identity: Identity) -> None:
    batch, other = make_batch(identity, 3), make_batch(identity, 1)
    for task in tasks_of(batch)[:2]:
        end(start(task), Failed("model_load_failed", "no such file", ""))
    first, second = (
        api.post(f"/tasks/batch/{batch.pk}/retry", headers={"Idempotency-Key": "tuesday"}) for _ in range(2)
    )
    assert first.json() == second.json()
    assert (first.json()["retried"], second["Idempotency-Replayed"]) == (2, "true")
    assert Task.objects.exclude(retry_of=None).count() == 2
    reused = api.post(f"/tasks/batch/{other.pk}/retry", headers={"Idempotency-Key": "tuesday"})
    error_of(reused, 409, "idempotency_key_reused")


def test_a_key_under_which_nothing_was_tried_again_is_free_still(api: Client, identity: Identity) -> None:
    batch = make_batch(identity, 1)
    ask = {"path": f"/tasks/batch/{batch.pk}/retry", "headers": {"Idempotency-Key": "wednesday"}}
    assert api.post(**ask).json()["batch_id"] is None
    end(start(tasks_of(batch)[0]), Failed("model_load_failed", "no such file", ""))
    assert api.post(**ask).json()["retried"] == 1


def test_the_results_of_a_batch_come_as_lines_in_the_order_of_the_request(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CHUNK", 2)  # several pages
    batch = make_batch(identity, 6)
    tasks = tasks_of(batch)
    for task in reversed(tasks[:5]):
        end(start(task), Completed(RESULTS["llm"]))
    response = api.get(f"/tasks/batch/{batch.pk}/results")
    assert response["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert [line["task_id"] for line in lines] == [str(task.pk) for task in tasks[:5]]
    assert lines[0] == api.get(f"/tasks/{tasks[0].pk}").json()


def test_a_strangers_batch_has_no_results_and_is_not_retried(stranger: Client, identity: Identity) -> None:
    batch = make_batch(identity, 1)
    error_of(stranger.get(f"/tasks/batch/{batch.pk}/results"), 404, "not_found")
    error_of(stranger.post(f"/tasks/batch/{batch.pk}/retry"), 404, "not_found")
