"""Live streams with real processes: tokens of a worker's engine, and a web process that is killed under them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import redis
from psycopg.sql import SQL, Identifier
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gpu_worker.streaming import StreamWriter
from tasks_app import hints
from tests.api.test_events import parsed
from tests.faults.stack import ROOT, Stack, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def redis_that_has_the_pieces(stack: Stack) -> None:
    stack.needs_redis()


def events_of(stack: Stack, task: str, after: str | None = None) -> Iterator[dict[str, Any]]:
    headers = {"Last-Event-ID": after} if after else {}
    with stack.api.stream("GET", f"/tasks/{task}/events", headers=headers) as response:
        assert response.status_code == 200
        yield from parsed(response.iter_lines())


def text_of(told: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["data"].get("text", "") for event in told)


def test_what_a_model_says_is_streamed_while_it_says_it_and_makes_up_its_result(stack: Stack) -> None:
    stack.needs_redis()
    task = stack.submit(simulate={"seconds": 1.0, "steps": 20})
    told = list(events_of(stack, task))
    pieces = [event for event in told if event["event"] == "task.output.delta"]
    assert len(pieces) > 3
    assert [event["data"]["n"] for event in told if "n" in event["data"]] == list(
        range(1, 1 + sum("n" in event["data"] for event in told))
    )
    assert text_of(told) == told[-1]["data"]["data"]["result"]["text"]
    assert told[-1]["event"] == "task.completed"


def test_a_stream_goes_on_where_it_was_after_the_web_process_was_killed(stack: Stack) -> None:
    stack.needs_redis()
    task = stack.submit(simulate={"seconds": 4.0, "steps": 40})
    told: list[dict[str, Any]] = []

    def read_until_killed() -> None:
        for event in events_of(stack, task):
            told.append(event)
            if sum("n" in each["data"] for each in told) == 5:
                stack.kill("web")

    with pytest.raises(httpx.TransportError):
        read_until_killed()
    assert told[-1]["event"] != "task.completed"
    stack.start_web()
    wait_until(lambda: stack.is_ready(1), 60, "the web process to be back")
    told += events_of(stack, task, after=told[-1]["id"])
    assert [event["data"]["seq"] for event in told if "n" not in event["data"]] == [1, 2, 3, 4]
    numbers = [event["data"]["n"] for event in told if "n" in event["data"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert text_of(told) == told[-1]["data"]["data"]["result"]["text"]


def test_without_redis_nothing_is_streamed_and_the_end_is_told_in_full(stack: Stack) -> None:
    stack.needs_redis()
    task = stack.long_task(3.0)
    told = []
    for event in events_of(stack, task):
        told.append(event)
        if len(told) == 6:
            stack.kill_server("redis")
    assert [event["data"]["seq"] for event in told if "n" not in event["data"]] == [1, 2, 3, 4]
    assert told[-1]["event"] == "task.completed"
    assert told[-1]["data"]["data"]["result"]["text"].startswith(text_of(told))


# ---------------------------------------------------------------- D3


def test_a_socket_that_is_read_slowly_lags_and_after_coming_back_has_seen_everything(stack: Stack) -> None:
    stack.needs_redis()
    task = stack.submit(simulate={"seconds": 60, "steps": 1})  # it says nothing itself before its end
    stack.at_work(task)
    writer = StreamWriter(lambda: redis.Redis.from_url(hints.address(stack.servers.redis_url)))
    output = writer.open(UUID(task), 1)
    output.n = 1  # the engine has told that inference began
    with slow_socket(stack) as narrow, socket_of(stack, sock=narrow, max_queue=1, compression=None) as slow:
        subscribed = ask(slow, action="subscribe", channel="task", id=task, after="0")
        assert subscribed["type"] == "subscribed"
        seen = [heard(slow) for _ in range(4)]
        for number in range(500):
            output.tell("inference", number, 500, f"{number} ".ljust(40_000, "."))
            writer.settle(output, 10)
        assert stack.api.patch(f"/tasks/{task}/cancel").status_code == 202
        while seen[-1]["type"] != "event" or seen[-1]["event"]["type"] != "task.cancelled":
            seen.append(heard(slow))
    lags = [message for message in seen if message["type"] == "lagged"]
    assert lags
    assert sum(lag["dropped"] for lag in lags) == 501 - sum("n" in m["event"] for m in seen if m["type"] == "event")
    with socket_of(stack) as again:
        ask(again, action="subscribe", channel="task", id=task, after=lags[0]["after"])
        seen.append(heard(again))
        while seen[-1]["event"]["type"] != "task.cancelled":
            seen.append(heard(again))
    told = [message["event"] for message in seen if message["type"] == "event"]
    assert {event["n"] for event in told if "n" in event} == set(range(1, 502))
    assert {event["seq"] for event in told} == set(range(1, 6))


def slow_socket(stack: Stack) -> socket.socket:
    """One that takes little until it is read."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", stack.api.base_url.port))
    return narrow


@contextmanager
def socket_of(stack: Stack, **options: Any) -> Iterator[ClientConnection]:
    address = f"ws://127.0.0.1:{stack.api.base_url.port}/ws/"
    headers = {"Authorization": stack.api.headers["Authorization"]}
    with connect(address, additional_headers=headers, max_size=None, close_timeout=1, **options) as connection:
        yield connection


def heard(connection: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(connection.recv(timeout=30)))


def ask(connection: ClientConnection, **order: Any) -> dict[str, Any]:
    connection.send(json.dumps(order))
    return heard(connection)


# ---------------------------------------------------------------- E6


def test_what_is_open_is_closed_within_five_seconds_of_its_keys_end(stack: Stack) -> None:
    key = new_key(stack)
    task = stack.submit(run_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    address = f"ws://127.0.0.1:{stack.api.base_url.port}/ws/"
    headers = {"Authorization": f"Bearer {key}"}
    with (
        connect(address, close_timeout=1) as connection,
        httpx.stream("GET", f"{stack.api.base_url}/tasks/{task}/events", headers=headers, timeout=30) as response,
    ):
        assert ask(connection, action="authenticate", token=key)["type"] == "authenticated"
        assert ask(connection, action="subscribe", channel="task", id=task)["type"] == "subscribed"
        events = parsed(response.iter_lines())
        assert next(events)["event"] == "task.created"
        prefix = key.split("_")[1]
        stack.query("UPDATE tenants_app_apikey SET revoked_at = now() WHERE prefix = %s RETURNING 1", prefix)
        began = time.monotonic()
        with pytest.raises(ConnectionClosed) as closed:
            heard(connection)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert [event["event"] for event in events] == ["closed"]
        assert time.monotonic() - began < 5
    stack.api.delete(f"/tasks/{task}?force=true")


def test_no_secret_is_in_a_log_or_in_the_database_or_in_redis_in_clear(stack: Stack) -> None:
    key = new_key(stack)
    headers = {"Authorization": f"Bearer {key}"}
    wrong = f"Bearer {key[:-3]}AAA"
    task = stack.submit(simulate={"seconds": 0.3, "steps": 5}, webhook_url="https://example.invalid/hook")
    webhook_secret = stack.api.get("/webhooks/secret").json()["results"][0]["secret"]
    for authorization in (f"Bearer {key}", wrong):
        httpx.get(f"{stack.api.base_url}/tasks/{task}", headers={"Authorization": authorization}, timeout=60)
    with connect(f"ws://127.0.0.1:{stack.api.base_url.port}/ws/", close_timeout=1) as connection:
        ask(connection, action="authenticate", token=key)
        ask(connection, action="cancel", id="nonsense")
    with httpx.stream("GET", f"{stack.api.base_url}/tasks/{task}/events", headers=headers, timeout=30) as response:
        list(response.iter_lines())
    own = stack.api.headers["Authorization"].removeprefix("Bearer ")
    secrets = {
        key.split("_", 2)[2],
        own.split("_", 2)[2],
        webhook_secret.removeprefix("whsec_"),
        stack.env["SECRET_KEY"],
    }
    logs = "".join(path.read_text(errors="replace") for path in stack.directory.glob("*.log"))
    assert not {secret for secret in secrets if secret in logs}
    assert not {secret for secret in secrets if secret in everything_in_the_database(stack)}
    assert not {secret for secret in secrets if secret.encode() in everything_in_redis(stack)}


def new_key(stack: Stack) -> str:
    made = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", MAKE_KEY],
        cwd=ROOT, env=stack.env, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    return made.stdout.split()[-1]


MAKE_KEY = """
from tenants_app import keys
from tenants_app.models import Organization
print(keys.create(Organization.objects.order_by("id").first(), "for a test")[1])
"""


def everything_in_the_database(stack: Stack) -> str:
    with psycopg.connect(stack.servers.database_url) as session:
        names = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [
            session.execute(SQL("SELECT string_agg(t::text, ' ') FROM {} t").format(Identifier(name))).fetchone()
            for (name,) in names
        ]
    return " ".join(row[0] for row in rows if row and row[0])


def everything_in_redis(stack: Stack) -> bytes:
    url = hints.address(stack.servers.redis_url)
    found = b""
    for database in range(4):
        client = redis.Redis.from_url(re.sub(r"\?.*", "", url), db=database)
        found += b" ".join(client.dump(name) or b"" for name in client.scan_iter())
    return found
