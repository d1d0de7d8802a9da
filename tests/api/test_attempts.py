"""GET /tasks/{id}/attempts and POST /tasks/{id}/retry."""

from __future__ import annotations

import pytest
from django.test import Client

from tasks_app.models import Task
from tasks_app.outcomes import Completed, EngineDeath, Failed, Measured
from tasks_app.states import ACTIVE, FINAL
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import end, make_task, make_user, start

pytestmark = pytest.mark.django_db


def test_each_attempt_tells_where_it_ran_and_how_it_ended(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    crash = Failed("engine_crashed", "the engine died", detail="Traceback: secret path")
    end(start(task, "gpu-1"), crash)
    Task.objects.update(not_before=None)
    second = start(task, "gpu-2")
    response = api.get(f"/tasks/{task.pk}/attempts")
    first_row, second_row = response.json()["results"]
    assert (first_row["number"], first_row["worker_id"], first_row["outcome"]) == (1, "gpu-1", "failed")
    assert first_row["error"] == {
        "type": "server_error", "code": "engine_crashed", "message": "the engine died", "param": None,
        "retryable": True,
    }  # fmt: skip
    assert (second_row["attempt_id"], second_row["outcome"]) == (str(second.attempt_id), None)
    assert b"secret" not in response.content


def test_a_task_that_never_started_has_no_attempts(api: Client, identity: Identity) -> None:
    assert api.get(f"/tasks/{make_task(identity=identity).pk}/attempts").json() == {"results": []}


def test_the_attempts_of_another_organization_do_not_exist(stranger: Client, identity: Identity) -> None:
    error_of(stranger.get(f"/tasks/{make_task('completed', identity).pk}/attempts"), 404, "not_found")


@pytest.mark.parametrize("status", sorted(FINAL))
def test_trying_again_is_a_new_task_that_names_the_old_one(api: Client, identity: Identity, status: str) -> None:
    task = make_task(status, identity, priority=8, metadata={"order": "1"})
    response = api.post(f"/tasks/{task.pk}/retry")
    again = response.json()
    assert response.status_code == 201
    assert response["Location"] == again["urls"]["self"]
    assert (again["retry_of"], again["status"], again["attempt"]) == (str(task.pk), "pending", 0)
    assert (again["input"], again["priority"], again["metadata"]) == (task.input, 8, {"order": "1"})
    assert api.get(again["urls"]["self"]).json() == again


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_active_task_is_not_tried_again(api: Client, identity: Identity, status: str) -> None:
    error_of(api.post(f"/tasks/{make_task(status, identity).pk}/retry"), 409, "task_active")


def test_another_organization_cannot_try_again(stranger: Client, identity: Identity) -> None:
    error_of(stranger.post(f"/tasks/{make_task('failed', identity).pk}/retry"), 404, "not_found")


def test_staff_try_again_for_the_organization_that_asked_first(organization: Organization) -> None:
    task = make_task("failed")
    staff = Client()
    staff.force_login(make_user(organization, staff=True, name="root"))
    again = staff.post(f"/tasks/{task.pk}/retry").json()
    assert (again["organization"], again["user"]) == (task.organization.slug, "root")
    assert staff.get(again["urls"]["self"]).json() == again


def test_trying_a_poisoned_task_again_begins_under_suspicion(api: Client, identity: Identity) -> None:
    task = make_task("pending", identity, max_attempts=5)
    for _ in range(2):
        end(start(task), EngineDeath("it died.", alone=True))
    task.refresh_from_db()
    assert (task.status, task.error["code"]) == ("failed", "poisoned")
    again = Task.objects.get(pk=api.post(f"/tasks/{task.pk}/retry").json()["task_id"])
    assert end(start(again), EngineDeath("it died.", alone=True)) == "failed"


def test_an_attempt_tells_what_was_done_when_memory_ran_out(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    done = ("free_cache", "smaller_batch")
    end(start(task, "gpu-1"), Failed("cuda_out_of_memory", "no room", measured=Measured(1.0, 2.0, relief=done)))
    Task.objects.update(not_before=None)
    end(start(task, "gpu-2"), Completed({}))
    rows = api.get(f"/tasks/{task.pk}/attempts").json()["results"]
    assert [row["relief"] for row in rows] == [list(done), []]
