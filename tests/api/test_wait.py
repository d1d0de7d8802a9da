"""?wait=N on GET /tasks/{id} and on cancel, through the ASGI application as uvicorn calls it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from django.db import connection
from django.test import Client

from orchestrator.handler import ThreadedHandler
from tasks_app import hints, services
from tasks_app.outcomes import Cancelled, Completed
from tasks_app.realtime import changes
from tasks_app.states import CancelMode
from tenants_app.identity import Identity
from tests.factories import end, make_task, start

pytestmark = pytest.mark.django_db(transaction=True)
Scenario = Callable[[httpx.AsyncClient, ThreadedHandler], Awaitable[Any]]


@pytest.fixture
def serve(key: str) -> Callable[[Scenario], Any]:
    """Runs a scenario against the server, with its one subscription and its threads."""

    async def served(scenario: Scenario) -> Any:
        handler = ThreadedHandler()
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(handler),
            base_url="http://testserver",
            headers={"Authorization": f"Bearer {key}"},
            timeout=20,
        )
        async with client:
            try:
                return await scenario(client, handler)
            finally:
                await handler.close()

    return lambda scenario: asyncio.run(served(scenario))


def later(seconds: float, act: Callable[[], object]) -> None:
    """In a thread with a connection of its own, as another process would."""

    def run() -> None:
        time.sleep(seconds)
        try:
            act()
        finally:
            connection.close()

    threading.Thread(target=run).start()


def test_an_answer_is_held_until_the_task_changes(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    task = make_task(identity=identity)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        later(0.3, lambda: services.cancel(task, "tester"))
        return await client.get(f"/tasks/{task.pk}?wait=20")

    assert serve(scenario).json()["status"] == "cancelled"


def test_a_waiter_finds_the_change_without_any_hint(
    serve: Callable[[Scenario], Any], identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(identity=identity)
    monkeypatch.setattr(hints, "changed", lambda ids: None)
    monkeypatch.setattr(changes, "LOOK_AGAIN", 0.2)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        later(0.3, lambda: services.cancel(task, "tester"))
        return await client.get(f"/tasks/{task.pk}?wait=20")

    assert serve(scenario).json()["status"] == "cancelled"


def test_a_hint_wakes_a_waiter_that_would_not_have_looked_by_itself(
    serve: Callable[[Scenario], Any], identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(identity=identity)
    monkeypatch.setattr(changes, "LOOK_AGAIN", 60.0)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        later(1.0, lambda: services.cancel(task, "tester"))
        return await client.get(f"/tasks/{task.pk}?wait=15")

    shown = serve(scenario).json()
    assert shown["status"] == "cancelled", "the wait ended without the hint"


def test_who_waits_for_the_end_sleeps_through_the_changes_before_it(
    serve: Callable[[Scenario], Any], identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(identity=identity)
    monkeypatch.setattr(changes, "LOOK_AGAIN", 60.0)

    def live() -> None:
        claimed = start(task)
        time.sleep(0.3)
        end(claimed, Completed({"text": "done", "finish_reason": "stop"}))

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        later(0.5, live)
        return await client.get(f"/tasks/{task.pk}?wait=15&until=end")

    assert serve(scenario).json()["status"] == "completed"


def test_an_answer_comes_unchanged_when_the_time_is_over(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    task = make_task(identity=identity)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        begun = time.monotonic()
        response = await client.get(f"/tasks/{task.pk}?wait=1")
        return response, time.monotonic() - begun

    response, took = serve(scenario)
    assert response.json()["status"] == "pending"
    assert took >= 1.0


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_nobody_waits_for_a_task_that_has_ended(
    serve: Callable[[Scenario], Any], identity: Identity, status: str
) -> None:
    task = make_task(status, identity)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        with patch.object(changes.Waiter, "wait", side_effect=AssertionError("it was held")):
            return await client.get(f"/tasks/{task.pk}?wait=20")

    assert serve(scenario).json()["status"] == status


def test_whoever_has_not_seen_the_present_state_is_not_held(
    serve: Callable[[Scenario], Any], identity: Identity
) -> None:
    task = make_task(identity=identity)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        old = (await client.get(f"/tasks/{task.pk}")).headers["ETag"]
        await asyncio.to_thread(start_elsewhere, task)
        with patch.object(changes.Waiter, "wait", side_effect=AssertionError("it was held")):
            return await client.get(f"/tasks/{task.pk}?wait=20", headers={"If-None-Match": old})

    assert serve(scenario).json()["status"] == "running"


def start_elsewhere(task: Any) -> None:
    start(task)
    connection.close()


def test_an_unchanged_task_is_304_after_the_wait(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    task = make_task(identity=identity)

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        tag = (await client.get(f"/tasks/{task.pk}")).headers["ETag"]
        return await client.get(f"/tasks/{task.pk}?wait=1", headers={"If-None-Match": tag})

    assert serve(scenario).status_code == 304


def test_a_cancel_waits_for_the_stop(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    claimed = start(make_task(identity=identity))

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        later(0.5, lambda: end(claimed, Cancelled(CancelMode.COOPERATIVE)))
        return await client.patch(f"/tasks/{claimed.task_id}/cancel?wait=20")

    response = serve(scenario)
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")


def test_a_cancel_that_takes_longer_than_the_wait_is_202(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    claimed = start(make_task(identity=identity))

    async def scenario(client: httpx.AsyncClient, _: ThreadedHandler) -> Any:
        return await client.patch(f"/tasks/{claimed.task_id}/cancel?wait=1")

    response = serve(scenario)
    assert (response.status_code, response.json()["status"]) == (202, "cancelling")


def test_waiters_hold_neither_thread_nor_connection(serve: Callable[[Scenario], Any], identity: Identity) -> None:
    task = make_task(identity=identity)

    def sessions() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            count: int = cursor.fetchone()[0]
        connection.close()
        return count

    async def scenario(client: httpx.AsyncClient, handler: ThreadedHandler) -> Any:
        with patch.object(changes, "LOOK_AGAIN", 60.0):
            waits = [asyncio.create_task(client.get(f"/tasks/{task.pk}?wait=20")) for _ in range(50)]
            while handler.changes.waiting(str(task.pk)) < 50:
                await asyncio.sleep(0.05)
            for _ in range(50):  # the looks that the waits began with may still be under way
                if (held := await asyncio.to_thread(sessions)) == 0:
                    break
                await asyncio.sleep(0.1)
            threads = threading.active_count()
            await asyncio.to_thread(cancel_elsewhere, task)
            answers = await asyncio.gather(*waits)
        return held, threads, {answer.json()["status"] for answer in answers}

    before = threading.active_count()
    connection.close()  # the test's own
    held, threads, statuses = serve(scenario)
    assert held == 0
    assert threads - before < 25, "a thread per waiter"
    assert statuses == {"cancelled"}


def cancel_elsewhere(task: Any) -> None:
    services.cancel(task, "tester")
    connection.close()


def test_a_client_that_leaves_is_forgotten(serve: Callable[[Scenario], Any], identity: Identity, key: str) -> None:
    path = f"/tasks/{(task := make_task(identity=identity)).pk}"
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "query_string": b"wait=20",
        "headers": [(b"host", b"testserver"), (b"authorization", f"Bearer {key}".encode())],
    }  # fmt: skip

    async def scenario(_: httpx.AsyncClient, handler: ThreadedHandler) -> Any:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        messages.put_nowait({"type": "http.request", "body": b""})
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        served = asyncio.create_task(handler(scope, messages.get, send))
        while not handler.changes.waiting(str(task.pk)):
            await asyncio.sleep(0.02)
        messages.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(served, 10)
        return handler.changes.waiting(str(task.pk)), sent

    assert serve(scenario) == (0, [])


def test_a_server_that_cannot_hold_answers_at_once(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    assert api.get(f"/tasks/{task.pk}?wait=20").json()["status"] == "pending"
