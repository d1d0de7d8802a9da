"""How long a call under /v1 is held, and what it is told in the end, through the ASGI application."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import connection

from orchestrator.handler import ThreadedHandler
from tasks_app.models import Task
from tasks_app.outcomes import Completed
from tests.factories import end, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]
CHAT = {"messages": [{"role": "user", "content": "Hello!"}]}


def ask(key: str, meanwhile: Callable[[Task], object] = lambda task: None) -> httpx.Response:
    """POST a chat; once its task is there, `meanwhile` happens to it elsewhere."""

    async def scenario() -> httpx.Response:
        handler = ThreadedHandler()
        transport = httpx.ASGITransport(handler)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            try:
                return await client.post("/v1/chat/completions", json=CHAT, timeout=60)
            finally:
                await handler.close()

    thread = threading.Thread(target=_elsewhere, args=[meanwhile])
    thread.start()
    try:
        return asyncio.run(scenario())
    finally:
        thread.join()


def _elsewhere(act: Callable[[Task], object]) -> None:
    try:
        deadline = time.monotonic() + 30
        while (task := Task.objects.first()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        act(task)
    finally:
        connection.close()


def test_it_is_answered_when_its_task_has_completed(key: str) -> None:
    response = ask(key, lambda task: end(start(task), Completed({"text": "Hi!", "finish_reason": "stop"})))
    assert response.status_code == 200, response.json()
    assert response.json()["choices"][0]["message"]["content"] == "Hi!"
    assert response.headers["X-Task-Id"] == str(Task.objects.get().pk)


def test_at_the_end_of_its_time_the_task_is_cancelled(key: str, settings: Any) -> None:
    settings.OPENAI_WAIT_SECONDS = 1
    response = ask(key)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "wait_timeout"
    assert response.json()["error"]["type"] == "server_error"
    assert response.headers["X-Should-Retry"] == "false"
    assert Task.objects.get().status == "cancelled"


def test_a_task_that_runs_at_the_end_of_the_time_is_asked_to_stop(key: str, settings: Any) -> None:
    settings.OPENAI_WAIT_SECONDS = 1
    assert ask(key, start).json()["error"]["code"] == "wait_timeout"
    assert Task.objects.get().status == "cancelling"


def test_a_task_that_is_deleted_meanwhile_is_not_found(key: str) -> None:
    response = ask(key, lambda task: task.delete())
    assert response.status_code == 404
