"""PATCH and POST /tasks/{id}/cancel."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tasks_app.models import Task, TaskEvent
from tasks_app.states import Status
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.factories import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["patch", "post"])
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cancel(client: Client, verb: str, task: Task) -> Any:
    return getattr(client, verb)(f"/tasks/{task.pk}/cancel")


@pytest.mark.parametrize("status", ["pending", "dispatched"])
def test_a_task_that_has_not_started_is_cancelled_at_once(
    api: Client, identity: Identity, verb: str, status: str
) -> None:
    response = cancel(api, verb, make_task(status, identity))
    shown = response.json()
    assert (response.status_code, shown["status"], shown["cancellation"]["mode"]) == (200, "cancelled", "dequeued")


def test_a_running_task_is_being_cancelled(api: Client, identity: Identity, verb: str) -> None:
    response = cancel(api, verb, make_task("running", identity))
    assert (response.status_code, response.json()["status"]) == (202, "cancelling")
    assert response.json()["cancellation"]["stopped_at"] is None


@pytest.mark.parametrize(("status", "code"), [("cancelled", 200), ("cancelling", 202)])
def test_asking_again_gives_the_same_answer_and_no_event(
    api: Client, identity: Identity, verb: str, status: str, code: int
) -> None:
    task = make_task(status, identity)
    events = TaskEvent.objects.filter(task=task).count()
    response = cancel(api, verb, task)
    assert (response.status_code, response.json()["status"]) == (code, status)
    assert TaskEvent.objects.filter(task=task).count() == events


@pytest.mark.parametrize("status", ["completed", "failed", "expired"])
def test_a_task_that_has_ended_is_409(api: Client, identity: Identity, verb: str, status: str) -> None:
    error = error_of(cancel(api, verb, make_task(status, identity)), 409, "already_finished")
    assert status in error["message"]


def test_another_organization_cannot_cancel(stranger: Client, identity: Identity, verb: str) -> None:
    task = make_task(identity=identity)
    error_of(cancel(stranger, verb, task), 404, "not_found")
    task.refresh_from_db()
    assert task.status == Status.PENDING


def test_a_wrong_wait_cancels_nothing(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    assert error_of(api.patch(f"/tasks/{task.pk}/cancel?wait=31"), 400, "invalid_input")["param"] == "wait"
    task.refresh_from_db()
    assert task.status == Status.PENDING
