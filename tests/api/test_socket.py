"""/ws/ over a real port: who gets in, what can be asked, and what is sent unasked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tasks_app import services
from tasks_app.models import Task
from tasks_app.outcomes import Completed
from tasks_app.realtime import socket as product
from tenants_app.identity import Identity
from tenants_app.models import ApiKey
from tests.api.live_server import Web, elsewhere, serving
from tests.api.test_following import say
from tests.factories import end, make_key, make_organization, make_task, make_user, make_worker, start

pytestmark = pytest.mark.django_db(transaction=True)
DONE = Completed({"text": "one two three", "finish_reason": "stop"})


@pytest.fixture
def web(db: None) -> Iterator[Web]:
    with serving() as web:
        yield web


class Talk:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, action: str, **told: Any) -> None:
        self.connection.send(json.dumps({"action": action, **told}))

    def hear(self, seconds: float = 20) -> dict[str, Any]:
        return dict(json.loads(self.connection.recv(timeout=seconds)))

    def ask(self, action: str, **told: Any) -> dict[str, Any]:
        self.say(action, **told)
        return self.hear()

    def refused(self, action: str, **told: Any) -> tuple[str, str | None]:
        answer = self.ask(action, **told)
        assert answer["type"] == "error", answer
        assert set(answer["error"]) == {"type", "code", "message", "param", "retryable", "request_id"}
        assert answer["detail"] == answer["error"]["message"]
        return answer["error"]["code"], answer["error"]["param"]

    def _read_on(self) -> None:
        while True:
            self.connection.recv(timeout=20)

    def close_code(self) -> int:
        with pytest.raises(ConnectionClosed) as closed:
            self._read_on()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@contextmanager
def talking(web: Web, key: str | None = None, **options: Any) -> Iterator[Talk]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= options.pop("headers", {})
    address = f"ws://127.0.0.1:{web.port}/ws/"
    with connect(address, additional_headers=headers, close_timeout=1, max_size=None, **options) as connection:
        yield Talk(connection)


@pytest.fixture
def talk(web: Web, key: str) -> Iterator[Talk]:
    with talking(web, key) as talk:
        yield talk


# ---------------------------------------------------------------- who gets in


def test_a_key_in_the_header_lets_in_and_a_bad_one_is_answered_as_over_http(web: Web, key: str) -> None:
    with talking(web, key) as talk:
        assert talk.ask("ping", ref="1") == {"type": "pong", "ref": "1"}
    with pytest.raises(InvalidStatus) as refused, talking(web, "baton_nonsense"):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "unauthenticated"


def test_a_first_message_can_bring_the_key(web: Web, key: str, identity: Identity) -> None:
    task = make_task(identity=identity)
    with talking(web) as talk:
        assert talk.ask("authenticate", token=key) == {
            "type": "authenticated", "ref": None, "organization": "acme", "user": "test"
        }  # fmt: skip
        assert talk.ask("subscribe", channel="task", id=str(task.pk))["type"] == "subscribed"
        assert talk.refused("authenticate", token=key) == ("invalid_input", "action")


@pytest.mark.parametrize(
    "message", [{"action": "authenticate", "token": "baton_nonsense"}, {"action": "subscribe", "channel": "tasks"}]
)
def test_whoever_says_no_good_key_first_is_told_and_closed(web: Web, message: dict[str, str]) -> None:
    with talking(web) as talk:
        talk.connection.send(json.dumps(message))
        assert talk.hear()["error"]["code"] == "unauthenticated"
        assert talk.close_code() == 4401


def test_whoever_says_nothing_is_closed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SIGN_IN_SECONDS", 0.2)
    with talking(web) as talk:
        assert talk.close_code() == 4401


@pytest.mark.parametrize("page", ["own", "foreign", "null", "none"])
def test_an_operators_session_lets_in_from_our_own_pages_alone(web: Web, identity: Identity, page: str) -> None:
    browser = Client()
    browser.force_login(make_user(identity.organization))
    cookie = f"baton_session={browser.cookies['baton_session'].value}"
    origin = {"own": web.url, "foreign": "https://evil.example", "null": "null", "none": None}[page]
    with talking(web, headers={"Cookie": cookie}, origin=origin) as talk:
        answer = talk.ask("ping")
    assert answer["type"] == ("pong" if page == "own" else "error")


def test_another_path_is_not_there(web: Web, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{web.port}/other/"):
        pass
    assert refused.value.response.status_code == 404


# ---------------------------------------------------------------- a task


def test_a_subscription_begins_with_the_task_as_it_is_and_goes_on_to_its_end(
    talk: Talk, api: Client, identity: Identity
) -> None:
    task = make_task(identity=identity)
    subscribed = talk.ask("subscribe", channel="task", id=str(task.pk), ref="mine")
    assert subscribed == {
        "type": "subscribed", "ref": "mine", "channel": "task", "id": str(task.pk), "after": "1",
        "data": api.get(f"/tasks/{task.pk}").json(),
    }  # fmt: skip
    claimed = elsewhere(lambda: start(task))
    say(task, 1, "one ", "two ")
    elsewhere(lambda: end(claimed, DONE))
    told = [talk.hear() for _ in range(5)]
    assert {(message["type"], message["channel"], message["id"]) for message in told} == {
        ("event", "task", str(task.pk))
    }
    assert [(message["event"]["id"], message["event"]["type"]) for message in told] == [
        ("2", "task.dispatched"), ("3", "task.started"), ("3.1", "task.output.delta"), ("3.2", "task.output.delta"),
        ("4", "task.completed"),
    ]  # fmt: skip
    assert told[-1]["event"]["data"] == api.get(f"/tasks/{task.pk}").json()


@pytest.mark.parametrize(("after", "count"), [(0, 7), ("3", 4), ("3.2", 2), (4, 0)])
def test_it_resumes_after_a_position(talk: Talk, identity: Identity, after: Any, count: int) -> None:
    task = make_task(identity=identity)
    claimed = start(task)
    say(task, 1, "one ", "two ", "three")
    end(claimed, DONE)
    talk.say("subscribe", channel="task", id=str(task.pk), after=after)
    assert talk.hear()["data"]["status"] == "completed"
    ids = [talk.hear()["event"]["id"] for _ in range(count)]
    assert ids == ["1", "2", "3", "3.1", "3.2", "3.3", "4"][7 - count :]
    assert talk.ask("ping")["type"] == "pong"


def test_several_tasks_can_be_followed_and_left(talk: Talk, web: Web, identity: Identity) -> None:
    tasks = [make_task(identity=identity) for _ in range(3)]
    for task in tasks:
        assert talk.ask("subscribe", channel="task", id=str(task.pk))["type"] == "subscribed"
    assert talk.ask("unsubscribe", channel="task", id=str(tasks[0].pk))["type"] == "unsubscribed"
    elsewhere(lambda: services.cancel_many([task.pk for task in tasks], "tester"))
    heard = [talk.hear() for _ in range(2)]
    assert {message["id"] for message in heard} == {str(task.pk) for task in tasks[1:]}


def test_a_cancel_is_answered_truthfully(talk: Talk, identity: Identity) -> None:
    waiting, running, done = (make_task(status, identity) for status in ("pending", "running", "completed"))
    answers = {task.pk: talk.ask("cancel", id=str(task.pk), ref="x") for task in (waiting, running)}
    assert answers[waiting.pk]["type"] == answers[waiting.pk]["task"]["status"] == "cancelled"
    assert answers[running.pk]["type"] == answers[running.pk]["task"]["status"] == "cancelling"
    assert Task.objects.get(pk=waiting.pk).status == "cancelled"
    assert talk.refused("cancel", id=str(done.pk)) == ("already_finished", None)


def test_another_organizations_task_is_the_same_as_none(talk: Talk) -> None:
    theirs = make_task()
    nobodys = "0199f3c2-7b1e-7c55-9a0e-3f6f0c1d2e3f"
    for task in (str(theirs.pk), nobodys, "nonsense"):
        assert talk.refused("subscribe", channel="task", id=task) == ("not_found", None)
        assert talk.refused("cancel", id=task) == ("not_found", None)
    assert Task.objects.get(pk=theirs.pk).status == "pending"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("{", None), ("[]", None), ("hello", None), ("{}", "action"), ('{"action": "dance"}', "action"),
        ('{"action": "subscribe", "channel": "all"}', "channel"), ('{"action": "subscribe", "channel": "task"}', "id"),
        ('{"action": "subscribe", "channel": "tasks", "id": "x"}', "id"), ('{"action": "cancel", "id": 5}', "id"),
        ('{"action": "ping", "loud": true}', "loud"), ('{"action": "ping", "ref": 1}', "ref"),
        ('{"action": "subscribe", "channel": "task", "id": "x", "after": "y"}', "after"),
        ('{"action": "subscribe", "channel": "task", "id": "x", "after": true}', "after"),
        ('{"action": "ping", "ref": "' + "x" * 70_000 + '"}', None), ("[" * 5000, None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name_and_the_socket_stays(talk: Talk, message: str, param: str) -> None:
    talk.connection.send(message)
    answer = talk.hear()
    assert (answer["error"]["code"], answer["error"]["param"]) == ("invalid_input", param)
    assert talk.ask("ping")["type"] == "pong"


def test_a_position_beyond_the_log_is_refused(talk: Talk, identity: Identity) -> None:
    task = make_task(identity=identity)
    assert talk.refused("subscribe", channel="task", id=str(task.pk), after=9) == ("invalid_input", "after")


def test_a_socket_has_so_many_subscriptions_and_no_more(
    talk: Talk, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "MAX_SUBSCRIPTIONS", 2)
    tasks = [make_task(identity=identity) for _ in range(3)]
    kinds = [talk.ask("subscribe", channel="task", id=str(task.pk))["type"] for task in [*tasks, tasks[0]]]
    assert kinds == ["subscribed", "subscribed", "error", "subscribed"]


# ---------------------------------------------------------------- overviews


def test_the_newest_tasks_are_told_and_then_what_changed(talk: Talk, identity: Identity) -> None:
    task, other = make_task(identity=identity), make_task()
    subscribed = talk.ask("subscribe", channel="tasks")
    assert [row["task_id"] for row in subscribed["data"]] == [str(task.pk)]
    elsewhere(lambda: services.cancel_many([task.pk, other.pk], "tester"))
    changed = talk.hear()
    assert (changed["type"], changed["channel"], changed["gone"]) == ("event", "tasks", [])
    assert [(row["task_id"], row["status"]) for row in changed["changed"]] == [(str(task.pk), "cancelled")]
    elsewhere(lambda: services.delete(Task.objects.get(pk=task.pk), by="tester"))
    assert talk.hear()["gone"] == [str(task.pk)]


@pytest.mark.parametrize(
    ("channel", "make"), [("workers", lambda: make_worker("w-new")), ("queues", lambda: make_task(task_type="tts"))]
)
def test_workers_and_queues_are_told_as_the_api_shows_them(
    talk: Talk, api: Client, channel: str, make: Callable[[], Any]
) -> None:
    assert talk.ask("subscribe", channel=channel)["data"] == api.get(f"/{channel}/").json()["results"]
    elsewhere(make)
    changed = talk.hear()["changed"]
    shown = {row["name"] for row in api.get(f"/{channel}/").json()["results"]}
    assert changed
    assert {row["name"] for row in changed} <= shown


def test_overviews_come_at_most_once_a_second(talk: Talk, identity: Identity) -> None:
    talk.ask("subscribe", channel="tasks")
    began, heard = time.monotonic(), 0
    while time.monotonic() - began < 2.5:
        elsewhere(lambda: make_task(identity=identity))
        try:
            talk.hear(0.05)
            heard += 1
        except TimeoutError:
            continue
    assert 1 <= heard <= 4


# ---------------------------------------------------------------- the end


def test_a_socket_that_is_left_frees_everything(web: Web, key: str, identity: Identity) -> None:
    task = make_task(identity=identity)
    with talking(web, key) as talk:
        talk.ask("subscribe", channel="task", id=str(task.pk))
        talk.ask("subscribe", channel="tasks")
        assert web.handler.changes.ears
    for _ in range(1000):
        if not (web.handler.changes.ears or web.handler.overviews._open or web.handler.live.passes.held()):
            return
        time.sleep(0.01)
    raise AssertionError("something is still held")


def ends(identity: Identity) -> dict[str, Callable[[], Any]]:
    row = ApiKey.objects.filter(pk=identity.api_key_id)
    return {
        "revoked": lambda: row.update(revoked_at=timezone.now()),
        "expired": lambda: row.update(expires_at=timezone.now()),
        "deleted": lambda: row.delete(),
    }


@pytest.mark.parametrize("how", ["revoked", "expired", "deleted"])
def test_a_socket_is_closed_within_five_seconds_of_its_keys_end(
    web: Web, key: str, identity: Identity, how: str
) -> None:
    task = make_task(identity=identity)
    with talking(web, key) as talk, talking(web, make_key(identity.organization)) as other:
        talk.ask("subscribe", channel="task", id=str(task.pk))
        elsewhere(ends(identity)[how])
        began = time.monotonic()
        assert talk.close_code() == 4401
        assert time.monotonic() - began < 5
        assert other.ask("ping")["type"] == "pong"


@pytest.mark.parametrize("how", ["signs out", "deactivated", "expelled"])
def test_a_persons_socket_is_closed_when_they_are_no_longer_in(web: Web, identity: Identity, how: str) -> None:
    user = make_user(identity.organization)
    browser = Client()
    browser.force_login(user)
    cookie = f"baton_session={browser.cookies['baton_session'].value}"
    with talking(web, headers={"Cookie": cookie}, origin=web.url) as talk:
        assert talk.ask("ping")["type"] == "pong"
        match how:
            case "signs out":
                elsewhere(browser.logout)
            case "deactivated":
                type(user).objects.filter(pk=user.pk).update(is_active=False)
            case _:
                elsewhere(lambda: user.memberships.all().delete())
        assert talk.close_code() == 4401


def test_a_stranger_hears_nothing_of_others_in_the_overview(web: Web, identity: Identity) -> None:
    make_task(identity=identity)
    with talking(web, make_key(make_organization())) as talk:
        assert talk.ask("subscribe", channel="tasks")["data"] == []


def test_a_key_with_another_secret_than_the_row_has_now_is_closed(web: Web, key: str, identity: Identity) -> None:
    with talking(web, key) as talk:
        assert talk.ask("ping")["type"] == "pong"
        ApiKey.objects.filter(pk=identity.api_key_id).update(secret_sha256=bytes(32))
        assert talk.close_code() == 4401
