"""GET /tasks/{id}/events and POST /tasks/ with Accept: text/event-stream, over a real port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import services
from tasks_app.models import Task
from tasks_app.outcomes import Completed
from tasks_app.realtime import sse
from tenants_app.identity import Identity
from tenants_app.models import ApiKey
from tests.api.conftest import error_of
from tests.api.live_server import Web, elsewhere, serving
from tests.api.test_following import say
from tests.factories import end, make_key, make_organization, make_task, start

pytestmark = pytest.mark.django_db(transaction=True)
DONE = Completed({"text": "one two three", "finish_reason": "stop"})


@pytest.fixture
def web(db: None) -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def client(web: Web, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        yield client


@contextmanager
def open_events(client: httpx.Client, task: Task, **options: Any) -> Iterator[tuple[httpx.Response, Iterator[Any]]]:
    with client.stream("GET", f"/tasks/{task.pk}/events", **options) as response:
        assert response.status_code == 200, response.read()
        yield response, parsed(response.iter_lines())


def parsed(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """As a browser reads it: id, event and the data's JSON; comments are skipped."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield {"id": fields.get("id"), "event": fields["event"], "data": json.loads(fields["data"])}
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def read(client: httpx.Client, task: Task, **options: Any) -> list[dict[str, Any]]:
    with open_events(client, task, **options) as (_, events):
        return list(events)


def told_task(identity: Identity) -> Task:
    """With output, and ended."""
    task = make_task(identity=identity)
    claimed = start(task)
    say(task, 1, "one ", "two ", "three")
    end(claimed, DONE)
    return task


def until_nobody_follows(web: Web) -> None:
    for _ in range(1000):
        if not web.handler.changes.ears:
            return
        time.sleep(0.01)
    raise AssertionError("somebody still follows")


def test_a_task_is_told_to_its_end_and_the_last_data_is_the_whole_task(
    client: httpx.Client, identity: Identity
) -> None:
    task = told_task(identity)
    with open_events(client, task) as (response, events):
        told = list(events)
    assert [(event["id"], event["event"]) for event in told] == [
        ("1", "task.created"), ("2", "task.dispatched"), ("3", "task.started"), ("3.1", "task.output.delta"),
        ("3.2", "task.output.delta"), ("3.3", "task.output.delta"), ("4", "task.completed"),
    ]  # fmt: skip
    assert told[-1]["data"]["data"] == client.get(f"/tasks/{task.pk}").json()
    assert {name: told[4]["data"][name] for name in ("id", "seq", "n", "type", "task_id")} == {
        "id": "3.2", "seq": 3, "n": 2, "type": "task.output.delta", "task_id": str(task.pk)
    }  # fmt: skip
    assert told[4]["data"]["data"] == {
        "attempt": 1, "phase": "inference", "fraction": 0.6667, "step": 2, "total_steps": 3, "text": "two ", "offset": 4
    }  # fmt: skip
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "no-transform" in response.headers["Cache-Control"]


@pytest.mark.parametrize("how", ["header", "query", "header first"])
def test_it_resumes_where_the_client_was_cut_off(client: httpx.Client, identity: Identity, how: str) -> None:
    task = told_task(identity)
    everything = read(client, task)
    options: dict[str, Any] = {
        "header": {"headers": {"Last-Event-ID": "3.2"}},
        "query": {"params": {"after": "3.2"}},
        "header first": {"headers": {"Last-Event-ID": "3.2"}, "params": {"after": "1"}},
    }[how]
    assert read(client, task, **options) == everything[5:]


def test_events_come_while_they_happen(client: httpx.Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    with open_events(client, task) as (_, events):
        assert next(events)["event"] == "task.created"
        claimed = elsewhere(lambda: start(task))
        assert [next(events)["event"] for _ in range(2)] == ["task.dispatched", "task.started"]
        say(task, 1, "one ", "two ")
        assert [next(events)["data"]["data"]["text"] for _ in range(2)] == ["one ", "two "]
        elsewhere(lambda: end(claimed, DONE))
        assert [event["event"] for event in events] == ["task.completed"]


def test_whoever_knows_the_last_event_already_need_not_come_again(client: httpx.Client, identity: Identity) -> None:
    task = told_task(identity)
    assert client.get(f"/tasks/{task.pk}/events", headers={"Last-Event-ID": "4"}).status_code == 204


@pytest.mark.parametrize("after", ["x", "-1", "99", "1.2.3", "%00"])
def test_a_position_that_cannot_be_is_refused_in_json(api: Client, identity: Identity, after: str) -> None:
    path = f"/tasks/{make_task(identity=identity).pk}/events?after={after}"
    response = api.get(path, headers={"Accept": "text/event-stream"})
    assert error_of(response, 400, "invalid_input")["param"] == "after"
    assert response["Content-Type"] == "application/json"


def test_another_organizations_task_is_not_there(stranger: Client, api: Client, identity: Identity) -> None:
    accept = {"Accept": "text/event-stream"}
    error_of(stranger.get(f"/tasks/{make_task(identity=identity).pk}/events", headers=accept), 404, "not_found")
    error_of(api.get("/tasks/nonsense/events", headers=accept), 404, "not_found")
    error_of(Client().get(f"/tasks/{make_task().pk}/events", headers=accept), 401, "unauthenticated")


def test_a_submit_answers_with_the_events_of_what_it_made(
    client: httpx.Client, identity: Identity, catalogue: None
) -> None:
    body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "Hello"}}
    headers = {"Accept": "text/event-stream", "Idempotency-Key": "once"}
    with client.stream("POST", "/tasks/", json=body, headers=headers) as response:
        assert response.status_code == 201
        events = parsed(response.iter_lines())
        created = next(events)
        assert created["event"] == "task.created"
        task = Task.objects.get(pk=created["data"]["task_id"])
        elsewhere(lambda: services.cancel(task, "tester"))
        assert next(events)["data"]["data"]["status"] == "cancelled"
    with client.stream("POST", "/tasks/", json=body, headers=headers) as again:
        assert again.status_code == 200
        assert next(parsed(again.iter_lines()))["data"]["task_id"] == str(task.pk)
    refused = client.post("/tasks/", json=body | {"model": "none"}, headers={"Accept": "text/event-stream"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


def test_silence_is_filled_with_comments(
    client: httpx.Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "COMMENT_SECONDS", 0.1)
    task = make_task(identity=identity)
    with client.stream("GET", f"/tasks/{task.pk}/events?after=1") as response:
        lines = (line for line in response.iter_lines() if line.startswith(":"))
        assert [next(lines) for _ in range(3)] == [": nothing new"] * 3


def test_a_client_that_leaves_frees_everything(web: Web, client: httpx.Client, identity: Identity) -> None:
    tasks = [make_task(identity=identity) for _ in range(3)]
    for task in tasks:
        with open_events(client, task) as (_, events):
            next(events)
            assert str(task.pk) in web.handler.changes.ears
    until_nobody_follows(web)
    assert not web.handler.live.passes.held()


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_stream_ends_when_its_key_does(
    web: Web, client: httpx.Client, identity: Identity, key: str, how: str
) -> None:
    task = make_task(identity=identity)
    other = make_key(identity.organization)
    with (
        open_events(client, task) as (_, events),
        open_events(client, task, headers={"Authorization": f"Bearer {other}"}) as (_, others),
    ):
        assert next(events)
        assert next(others)
        field = {"revoked": "revoked_at", "expired": "expires_at"}[how]
        ApiKey.objects.filter(pk=identity.api_key_id).update(**{field: timezone.now()})
        began = time.monotonic()
        assert [event["event"] for event in events] == ["closed"]
        assert time.monotonic() - began < 5
        elsewhere(lambda: services.cancel(task, "tester"))
        assert next(others)["event"] == "task.cancelled", "a key that is still good was closed too"


def test_a_hundred_streams_at_once_lose_and_reorder_nothing(web: Web, key: str, identity: Identity) -> None:
    tasks = [make_task(identity=identity) for _ in range(25)]
    claims = [start(task) for task in tasks]
    words = [f"{n} " for n in range(20)]

    async def one(client: httpx.AsyncClient, task: Task) -> list[dict[str, Any]]:
        async with client.stream("GET", f"/tasks/{task.pk}/events") as response:
            lines = [line async for line in response.aiter_lines()]
        return list(parsed(lines))

    async def scenario() -> list[list[dict[str, Any]]]:
        limits = httpx.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=web.url, headers=headers, timeout=60, limits=limits) as client:
            following = [asyncio.create_task(one(client, task)) for task in tasks for _ in range(4)]
            while sum(map(len, web.handler.changes.ears.values())) < 100:
                await asyncio.sleep(0.01)
            await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(25)))
            return await asyncio.gather(*following)

    def work(number: int) -> None:
        say(tasks[number], 1, *words, total=20)
        elsewhere(lambda: end(claims[number], DONE))

    for told in asyncio.run(scenario()):
        ids = [event["id"] for event in told]
        assert ids == ["1", "2", "3", *(f"3.{n}" for n in range(1, 21)), "4"]
        assert "".join(event["data"]["data"].get("text", "") for event in told) == "".join(words)


def test_a_foreign_organizations_stream_hears_nothing_of_others(web: Web, identity: Identity) -> None:
    """It cannot be opened at all, whatever it was told to begin after."""
    stranger = make_key(make_organization())
    headers = {"Authorization": f"Bearer {stranger}", "Last-Event-ID": "1"}
    assert httpx.get(f"{web.url}/tasks/{make_task(identity=identity).pk}/events", headers=headers).status_code == 404
