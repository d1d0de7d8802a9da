"""Streamed answers under /v1 whose task does not simply run to its end, through the ASGI application."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import connection

from orchestrator.handler import ThreadedHandler
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Failed, Returned
from tests.api.test_following import say
from tests.factories import end, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]
CHAT = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True}


def ask(key: str, meanwhile: Callable[[Task], object]) -> list[Any]:
    """What a streamed chat tells; once its task is there, `meanwhile` happens to it elsewhere."""

    async def scenario() -> str:
        handler = ThreadedHandler()
        transport = httpx.ASGITransport(handler)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            try:
                response = await client.post("/v1/chat/completions", json=CHAT, timeout=60)
                assert response.headers["Content-Type"] == "text/event-stream"
                assert response.headers["X-Task-Id"]
                return response.text
            finally:
                await handler.close()

    thread = threading.Thread(target=_elsewhere, args=[meanwhile])
    thread.start()
    try:
        told = asyncio.run(scenario())
    finally:
        thread.join()
    data = [line.removeprefix("data: ") for line in told.splitlines() if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


def _elsewhere(act: Callable[[Task], object]) -> None:
    try:
        deadline = time.monotonic() + 30
        while (task := Task.objects.first()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        act(task)
    finally:
        connection.close()


def text_of(told: list[Any]) -> str:
    chunks = [each for each in told if each != "[DONE]" and each.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def completed(text: str) -> Completed:
    return Completed({"text": text, "finish_reason": "stop"})


def test_an_answer_without_any_live_output_is_told_at_its_end(key: str) -> None:
    told = ask(key, lambda task: end(start(task), completed("one two three")))
    assert text_of(told) == "one two three"
    assert told[-2]["choices"][0]["finish_reason"] == "stop"
    assert told[-1] == "[DONE]"


def test_an_empty_answer_is_one_too(key: str) -> None:
    told = ask(key, lambda task: end(start(task), completed("")))
    assert [chunk["choices"][0]["delta"] for chunk in told[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {},
    ]


def test_a_second_attempt_that_says_the_same_goes_on_where_the_first_broke_off(key: str) -> None:
    def live(task: Task) -> None:
        first = start(task)
        say(task, 1, "one ", "two ")
        end(first, Returned("its worker stops"))
        second = start(task)
        say(task, 2, "one ", "two ", "three")
        end(second, completed("one two three"))

    assert text_of(ask(key, live)) == "one two three"


def test_a_second_attempt_that_says_something_else_ends_the_stream_and_is_stopped(key: str) -> None:
    def live(task: Task) -> None:
        first = start(task)
        say(task, 1, "one ", "two ")
        end(first, Returned("its worker stops"))
        start(task)
        say(task, 2, "five ")

    told = ask(key, live)
    assert text_of(told[:-1]) in ("one two ", "one ")
    assert told[-1]["error"]["code"] == "answer_changed"
    assert Task.objects.get().status == "cancelling"


def test_a_failure_is_the_last_thing_that_is_told(key: str) -> None:
    told = ask(key, lambda task: end(start(task), Failed("invalid_input", "it was bad", "input.messages")))
    [only] = told
    error = only["error"]
    assert (error["code"], error["param"], error["type"]) == ("invalid_input", "messages", "invalid_request_error")


def test_a_task_that_is_deleted_meanwhile_ends_the_stream(key: str) -> None:
    assert ask(key, lambda task: task.delete())[-1]["error"]["code"] == "not_found"
