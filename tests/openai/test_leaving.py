"""A caller that leaves cancels its task, and so does the end of the time that a call may take."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.faults.stack import Stack, wait_until
from tests.openai.conftest import key_of

pytestmark = pytest.mark.slow
HELLO = [{"role": "user", "content": "Hello!"}]


def raw_request(stack: Stack, path: str, body: dict[str, Any]) -> socket.socket:
    """Sent over a connection that the test can close whenever it likes."""
    content = json.dumps(body).encode()
    host, port = str(stack.api.base_url).removeprefix("http://").rstrip("/").split(":")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key_of(stack.directory)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(head.encode() + content)
    return connection


def marked(stack: Stack, mark: str) -> dict[str, Any] | None:
    rows = stack.query("SELECT id FROM tasks_app_task WHERE metadata ->> 'mark' = %s", mark)
    return stack.get(str(rows[0][0])) if rows else None


def test_a_client_that_leaves_a_running_task_cancels_it(stack: Stack) -> None:
    asked = {"model": "simulated", "messages": HELLO, "metadata": {"mark": "running"}, "simulate": {"seconds": 50}}
    connection = raw_request(stack, "/v1/chat/completions", asked)
    wait_until(lambda: (marked(stack, "running") or {}).get("phase") == "inference", what="it to run")
    connection.close()
    wait_until(lambda: (marked(stack, "running") or {})["status"] == "cancelled", what="it to be cancelled")


def test_a_client_that_leaves_as_soon_as_it_has_asked_leaves_no_work_behind(stack: Stack) -> None:
    """Whether its task has been made by then or not: whatever there is of it ends."""
    asked = {"model": "simulated", "messages": HELLO, "metadata": {"mark": "early"}, "simulate": {"seconds": 50}}
    for _ in range(20):
        raw_request(stack, "/v1/chat/completions", asked).close()
    raw_request(stack, "/v1/chat/completions", asked | {"metadata": {"mark": "after"}}).close()
    wait_until(lambda: marked(stack, "after"), what="all of them to be taken")
    statuses = "SELECT DISTINCT status FROM tasks_app_task WHERE metadata ->> 'mark' IN ('early', 'after')"
    wait_until(lambda: stack.query(statuses) == [("cancelled",)], what="all of them to be cancelled")


def test_a_client_that_stops_waiting_by_its_own_time_out_cancels_too(client: OpenAI, stack: Stack) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=2, max_retries=0).chat.completions.create(
            model="simulated", messages=HELLO, metadata={"mark": "impatient"}, extra_body={"simulate": {"seconds": 50}}
        )
    wait_until(lambda: (marked(stack, "impatient") or {})["status"] == "cancelled", what="it to be cancelled")


def test_a_client_that_leaves_a_wait_on_a_task_cancels_nothing(stack: Stack) -> None:
    task = stack.long_task(3)
    with pytest.raises(httpx.ReadTimeout):
        stack.api.get(f"/tasks/{task}?wait=30&until=end", timeout=0.5)
    assert stack.wait_for(task)["status"] == "completed"


def test_many_calls_at_once_are_held_without_a_thread_each(client: OpenAI, stack: Stack) -> None:
    """More than the web process has threads, and it goes on answering."""
    simulate = {"extra_body": {"simulate": {"seconds": 1}, "metadata": {"mark": "many"}}}
    answers: list[Any] = []

    def ask() -> None:
        answers.append(client.chat.completions.create(model="simulated", messages=HELLO, **simulate))  # type: ignore[call-overload]

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    asked = "SELECT count(*) FROM tasks_app_task WHERE metadata ->> 'mark' = 'many'"
    wait_until(lambda: stack.query(asked) == [(30,)], what="all to be taken while the first ones still run")
    begun = time.monotonic()
    assert stack.api.get("/tasks/?limit=1").status_code == 200
    assert time.monotonic() - begun < 10
    for thread in threads:
        thread.join(60)
    assert len(answers) == 30
