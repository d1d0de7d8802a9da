"""Calls of OpenAI's clients that outlive what happens around them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI

from tests.faults.stack import Stack, wait_until
from tests.openai.test_leaving import marked
from tests.openai.test_streaming import text_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]
HELLO: Any = [{"role": "user", "content": "Hello!"}]


def in_background(act: Callable[[], Any]) -> Callable[[], Any]:
    """Begun at once; call it for what it returns."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()

    def result() -> Any:
        thread.join(60)
        [only] = found
        return only

    return result


def asked(mark: str) -> Any:
    body = {"metadata": {"mark": mark}, "simulate": {"seconds": 5, "steps": 50}}
    return {"model": "simulated", "messages": HELLO, "extra_body": body}


def at_work(stack: Stack, mark: str) -> None:
    wait_until(lambda: (marked(stack, mark) or {}).get("phase") == "inference", what="it to run")


def test_a_call_is_answered_although_the_database_was_away_meanwhile(client: OpenAI, stack: Stack) -> None:
    once = client.with_options(max_retries=0)
    plain = in_background(lambda: once.chat.completions.create(**asked("plain")))
    streamed = in_background(lambda: text_of(list(once.chat.completions.create(**asked("streamed"), stream=True))))
    at_work(stack, "plain")
    at_work(stack, "streamed")
    stack.kill_server("postgres")
    stack.servers.start_again("postgres")
    assert plain().choices[0].message.content == streamed()
    assert "simulated answer" in streamed()
    stack.restore()


def test_a_call_is_answered_although_redis_was_away_meanwhile(client: OpenAI, stack: Stack) -> None:
    plain = in_background(lambda: client.chat.completions.create(**asked("without hints")))
    streamed = in_background(
        lambda: text_of(list(client.chat.completions.create(**asked("without pieces"), stream=True)))
    )
    at_work(stack, "without hints")
    at_work(stack, "without pieces")
    stack.kill_server("redis", signal.SIGKILL)
    assert plain().choices[0].message.content == streamed(), "what was missed comes with the end"
    stack.servers.start_again("redis")
    stack.restore()
