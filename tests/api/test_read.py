"""GET /tasks/{id}."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app import artifacts, services
from tasks_app.leases import Beat, renew
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Failed, Measured
from tasks_app.states import Status
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.factories import end, make_task, start

pytestmark = pytest.mark.django_db


def read(client: Client, task: Task, **headers: str) -> Any:
    return client.get(f"/tasks/{task.pk}", headers=headers)


@pytest.mark.parametrize("status", Status)
def test_a_task_is_shown_in_every_state(api: Client, identity: Identity, status: Status) -> None:
    task = make_task(status, identity)
    shown = read(api, task).json()
    assert (shown["task_id"], shown["status"]) == (str(task.pk), status)
    assert (shown["completed_at"] is None) == (shown["timings"]["total_seconds"] is None)
    assert (shown["error"] is not None) == (status == Status.FAILED)
    assert (shown["cancellation"] is not None) == (status in (Status.CANCELLED, Status.CANCELLING))


def test_a_completed_task_shows_its_result_its_files_and_what_it_cost(api: Client, identity: Identity) -> None:
    claimed = start(make_task(identity=identity, task_type="stable_diffusion"))
    stored = artifacts.store_bytes(b"png", "image/png", claimed.task_id)
    result = {"images": [{"artifact_id": str(stored.id), "width": 8, "height": 8, "seed": 1}]}
    end(claimed, Completed(result, (stored,), Measured(model_load_seconds=0.5, inference_seconds=2.0, images=1)))
    shown = api.get(f"/tasks/{claimed.task_id}").json()
    assert shown["result"] == result
    assert shown["artifacts"] == [
        {
            "artifact_id": str(stored.id), "content_type": "image/png", "size_bytes": 3, "sha256": stored.sha256,
            "url": f"/artifacts/{stored.id}", "expires_at": None,
        }
    ]  # fmt: skip
    assert shown["usage"]["gpu_seconds"] == 2.5
    assert shown["usage"]["images"] == 1
    assert shown["timings"]["inference_seconds"] == 2.0


def test_a_failed_task_says_why_and_keeps_its_traceback_to_itself(api: Client, identity: Identity) -> None:
    failed = Failed("invalid_input", "the prompt is too long", "input.prompt", detail="Traceback: secret path")
    response = read(api, make_task("failed", identity, worker="gpu-1", outcome=failed))
    assert response.json()["error"] == {
        "type": "invalid_request_error", "code": "invalid_input", "message": "the prompt is too long",
        "param": "input.prompt", "retryable": False, "attempt": 1, "worker_id": "gpu-1",
    }  # fmt: skip
    assert b"secret" not in response.content


def test_a_failure_of_the_infrastructure_is_a_server_error_worth_another_try(api: Client, identity: Identity) -> None:
    task = make_task("failed", identity, max_attempts=1, outcome=Failed("engine_crashed", "the engine died"))
    error = read(api, task).json()["error"]
    assert (error["type"], error["retryable"]) == ("server_error", True)


def test_times_are_utc_and_end_in_z(api: Client, identity: Identity) -> None:
    shown = read(api, make_task("cancelled", identity)).json()
    for moment in (shown["created_at"], shown["completed_at"], shown["cancellation"]["requested_at"]):
        assert moment.endswith("Z")
        assert abs((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()) < 60


def test_an_unchanged_task_is_304(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    first = read(api, task)
    again = read(api, task, **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    services.cancel(task, "tester")
    changed = read(api, task, **{"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


def test_progress_changes_the_etag(api: Client, identity: Identity) -> None:
    claimed = start(make_task(identity=identity))
    seen = set()
    for step in range(3):
        progress = {"fraction": step / 3, "step": step, "total_steps": 3}
        renew([Beat(claimed.task_id, claimed.attempt_id, claimed.token, "inference", progress, 0.0)])
        seen.add(api.get(f"/tasks/{claimed.task_id}")["ETag"])
    assert len(seen) == 3


def test_the_task_of_another_organization_does_not_exist(stranger: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    theirs = error_of(read(stranger, task), 404, "not_found")
    Task.objects.filter(pk=task.pk).delete()
    nobodys = error_of(read(stranger, task), 404, "not_found")
    assert {**theirs, "request_id": ""} == {**nobodys, "request_id": ""}


@pytest.mark.parametrize("task_id", ["1", "nonsense", "-" * 36, "01a20b00-7401-731c-b60b-aa1b0cd862d6x", "%00"])
def test_what_is_no_id_is_404(api: Client, task_id: str) -> None:
    error_of(api.get(f"/tasks/{task_id}"), 404, "not_found")


@pytest.mark.parametrize("query", ["wait=31", "wait=-1", "wait=x", "wait=", "colour=red"])
def test_a_wrong_parameter_is_refused_and_named(api: Client, identity: Identity, query: str) -> None:
    task = make_task(identity=identity)
    error = error_of(api.get(f"/tasks/{task.pk}?{query}"), 400, "invalid_input")
    assert error["param"] == query.partition("=")[0]


def test_a_task_is_read_with_one_query_and_a_completed_one_with_two(api: Client, identity: Identity) -> None:
    waiting, completed = make_task(identity=identity), make_task("completed", identity)
    read(api, waiting)  # the key is looked up once
    for task, queries in ((waiting, 1), (completed, 2)):
        with CaptureQueriesContext(connection) as captured:
            assert read(api, task).status_code == 200
        assert len(captured) == queries
