"""Live streams with real processes: tokens of a worker's engine, and a web process that is killed under them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_events import parsed
from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.faults


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
