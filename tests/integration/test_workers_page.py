"""The page of the workers: what it says of one that takes no work, and the buttons that only operators have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from tests.browser import scene
from tests.factories import make_organization, make_task, make_user, make_worker
from workers_app.models import Worker

pytestmark = pytest.mark.django_db
PAGE, FRAGMENT = "/ui/workers/", "/ui/_workers/"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def signed_in(*, staff: bool) -> Client:
    client = Client()
    client.force_login(make_user(make_organization(), staff=staff))
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(staff=True)


def text_of(client: Client, address: str = FRAGMENT) -> str:
    return client.get(address).content.decode()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "online"),
        ({"state": "paused"}, "paused"),
        ({"state": "draining"}, "drained"),
        ({"state": "retired"}, "retired"),
        ({"state": "paused", "quarantined_at": LONG_AGO}, "quarantined"),
        ({"stopping": True, "quarantined_at": LONG_AGO}, "stopping"),
    ],
)
def test_a_worker_is_called_by_what_a_person_wants_to_know_first(operator, values, word):
    make_worker("gpu-1", **scene.ALIVE, **values)
    assert f'<span class="badge" data-state="{word}">' in text_of(operator)


def test_a_draining_worker_says_how_much_is_left(operator):
    make_worker("gpu-1", **scene.ALIVE, state="draining")
    assert "nothing is left on it" in text_of(operator)
    make_task("running", worker="gpu-1")
    assert "1 left" in text_of(operator)


def test_a_quarantine_says_why(operator):
    make_worker("gpu-1", **scene.ALIVE, quarantined_at=LONG_AGO, quarantine_reason="a sum came out wrong")
    assert "a sum came out wrong" in text_of(operator)
    with scene.leading():
        assert "1 quarantined, of 1 workers." in text_of(operator)


def test_a_button_changes_the_state_and_the_reason_is_shown_to_operators_alone(operator):
    make_worker("gpu-1", **scene.ALIVE)
    body = {"state": "paused", "reason": "a <new> fan"}
    assert operator.post("/ui/workers/gpu-1/state/", body, follow=True).redirect_chain == [(PAGE, 302)]
    assert Worker.objects.get().state == "paused"
    assert "a &lt;new&gt; fan" in text_of(operator)
    member = signed_in(staff=False)
    assert "fan" not in text_of(member)
    assert "formaction" not in text_of(member, PAGE)
    assert member.post("/ui/workers/gpu-1/state/", {"state": "active"}).status_code == 403


@pytest.mark.parametrize(("name", "state"), [("nobody", "paused"), ("gpu-1", "asleep"), ("gpu-1", "")])
def test_what_makes_no_sense_is_not_found(operator, name, state):
    make_worker("gpu-1")
    assert operator.post(f"/ui/workers/{name}/state/", {"state": state}).status_code == 404
    assert Worker.objects.get().state == "active"


def test_the_buttons_are_those_that_would_change_something(operator):
    make_worker("gpu-1", **scene.ALIVE)
    assert "Resume gpu-1" not in text_of(operator)
    Worker.objects.update(state="paused")
    assert "Pause gpu-1" not in text_of(operator)
    assert "Resume gpu-1" in text_of(operator)
    Worker.objects.update(state="active", quarantined_at=LONG_AGO)
    assert "Resume gpu-1" in text_of(operator)


def test_a_poll_that_shows_nothing_new_is_answered_with_nothing(operator):
    make_worker("gpu-1", **scene.ALIVE)
    tag = operator.get(FRAGMENT)["ETag"]
    assert operator.get(FRAGMENT, headers={"If-None-Match": tag}).status_code == 304
