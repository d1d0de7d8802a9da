"""/queues/, and pausing and resuming queues, models and organizations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app.models import Pause
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import client_with, error_of
from tests.factories import make_key, make_task, make_user
from workers_app.models import Model

pytestmark = pytest.mark.django_db
PLACES = ["/queues/llm", "/models/acme/fox-7b", "/organizations/acme"]


@pytest.fixture
def operator(organization: Organization) -> Client:
    """A key that belongs to staff."""
    return client_with(make_key(organization, make_user(organization, staff=True, name="ada")))


@pytest.fixture(autouse=True)
def _things_to_pause(organization: Organization) -> None:
    Model.objects.create(task_type="llm", name="acme/fox-7b", source="acme/fox-7b")


def pause(client: Client, place: str, **body: Any) -> Any:
    return client.post(f"{place}/pause", body, content_type="application/json")


@pytest.mark.parametrize("place", PLACES)
def test_an_operator_pauses_and_resumes(operator: Client, place: str) -> None:
    until = timezone.now() + timedelta(hours=1)
    paused = pause(operator, place, reason="new weights", until=until.isoformat())
    assert paused.status_code == 200, paused.json()
    assert (paused.json()["by"], paused.json()["reason"]) == ("ada", "new weights")
    assert len(operator.get("/queues/").json()["paused"]) == 1
    assert operator.post(f"{place}/resume").status_code == 204
    assert operator.get("/queues/").json()["paused"] == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_who_is_not_staff_may_not(api: Client, place: str, verb: str) -> None:
    error_of(api.post(f"{place}/{verb}"), 403, "permission_denied")
    assert not Pause.objects.exists()


@pytest.mark.parametrize("place", ["/queues/video", "/models/nobody/nothing", "/organizations/nowhere"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_not_there_is_404(operator: Client, place: str, verb: str) -> None:
    error_of(operator.post(f"{place}/{verb}", {}, content_type="application/json"), 404, "not_found")


def test_pausing_twice_keeps_the_last_word_and_resuming_twice_is_fine(operator: Client) -> None:
    pause(operator, "/queues/llm", reason="first")
    pause(operator, "/queues/llm", reason="second")
    assert Pause.objects.get().reason == "second"
    assert [operator.post("/queues/llm/resume").status_code for _ in range(2)] == [204, 204]


@pytest.mark.parametrize(("body", "param"), [({"until": "tomorrow"}, "until"), ({"reason": "x" * 501}, "reason"),
                                             ({"why": "x"}, "why")])  # fmt: skip
def test_a_wrong_body_pauses_nothing_and_is_told_by_name(operator: Client, body: dict[str, Any], param: str) -> None:
    assert error_of(pause(operator, "/queues/llm", **body), 400, "invalid_input")["param"] == param
    assert not Pause.objects.exists()


def test_a_pause_that_is_over_is_none(operator: Client) -> None:
    Pause.objects.create(kind="queue", name="llm", by="ada", until=timezone.now() - timedelta(seconds=1))
    assert operator.get("/queues/").json()["paused"] == []


def test_the_queues_tell_how_long_they_are_and_what_holds_them(operator: Client, identity: Identity) -> None:
    make_task(identity=identity)
    make_task("running", identity)
    pause(operator, "/queues/llm", reason="upgrade")
    llm, images, *_ = operator.get("/queues/").json()["results"]
    assert (llm["name"], llm["length"], llm["running"], llm["paused"]["reason"]) == ("llm", 1, 1, "upgrade")
    assert llm["oldest_seconds"] > 0
    assert (images["length"], images["oldest_seconds"], images["paused"]) == (0, 0.0, None)


def test_a_pause_that_would_be_over_already_is_refused(operator: Client) -> None:
    past = (timezone.now() - timedelta(minutes=1)).isoformat()
    assert error_of(pause(operator, "/queues/llm", until=past), 400, "invalid_input")["param"] == "until"
    assert not Pause.objects.exists()
