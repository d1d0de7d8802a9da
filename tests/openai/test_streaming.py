"""Streamed chats and completions through the package `openai`."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from tests.faults.stack import Stack, wait_until
from tests.openai.conftest import key_of
from tests.openai.test_leaving import marked, raw_request
from tests.openai.test_media import picture

pytestmark = pytest.mark.slow
STORY: Any = [{"role": "user", "content": "Tell me a story."}]
SLOWLY = {"seconds": 4, "steps": 40}


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_streamed_chat_says_the_same_as_a_plain_one(client: OpenAI) -> None:
    asked: Any = {"model": "baton-chat", "messages": STORY, "temperature": 0, "max_tokens": 60}
    plain = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.to_dict(), strict=True)
    assert text_of(chunks) == plain.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.usage for chunk in chunks} == {None}
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == plain.choices[0].finish_reason == "length"
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_last_piece_says_what_was_used_if_that_is_asked_for(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="baton-chat", messages=STORY, temperature=0, max_tokens=7, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 7
    assert {chunk.usage for chunk in chunks[:-1]} == {None}


def test_the_pieces_come_while_the_task_runs(client: OpenAI, stack: Stack) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="simulated", messages=STORY, stream=True, extra_body={"simulate": SLOWLY}
    )
    chunks = raw.parse()
    task_id = raw.headers["x-task-id"]
    seen = [next(chunk for chunk in chunks if chunk.choices[0].delta.content)]
    assert stack.get(task_id)["status"] == "running"
    seen += list(chunks)
    assert len(seen) > 5
    assert text_of(seen) == stack.get(task_id)["result"]["text"]


def test_a_completion_is_streamed(client: OpenAI) -> None:
    asked: Any = {"model": "baton-chat", "prompt": "Tell me a story.", "temperature": 0, "max_tokens": 30}
    plain = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == plain.choices[0].text
    last = next(chunk for chunk in reversed(chunks) if chunk.choices)
    Completion.model_validate(last.to_dict(), strict=True)
    assert last.choices[0].finish_reason == "length"
    assert chunks[-1].usage == plain.usage


def test_what_is_said_of_an_image_is_streamed(client: OpenAI) -> None:
    parts = [{"type": "image_url", "image_url": {"url": picture()}}]
    asked: Any = {"model": "baton-caption", "messages": [{"role": "user", "content": parts}]}
    plain = client.chat.completions.create(**asked)
    assert (
        text_of(list(client.chat.completions.create(**asked, stream=True))).strip() == plain.choices[0].message.content
    )


async def _gathered(stack: Stack) -> str:
    async with AsyncOpenAI(base_url=f"{stack.api.base_url}/v1", api_key=key_of(stack.directory)) as client:
        chunks = await client.chat.completions.create(model="simulated", messages=STORY, stream=True)
        return text_of([chunk async for chunk in chunks])


def test_the_asynchronous_client_streams_too(stack: Stack) -> None:
    assert "simulated answer" in asyncio.run(_gathered(stack))


def test_the_packages_own_stream_helper_puts_the_answer_together(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="baton-chat", messages=STORY, temperature=0, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage


def test_a_stop_text_is_in_no_piece(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(model="baton-chat", messages=STORY, temperature=0, stop=["robot"], stream=True)
    )
    assert "robot" not in text_of(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_wrong_request_is_refused_before_anything_is_streamed(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="baton-chat", messages=STORY, max_tokens=5000, stream=True)
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gpt-4o", prompt="Hi", stream=True)


def test_a_task_that_fails_on_the_way_ends_the_stream_with_its_error(client: OpenAI) -> None:
    chunks = client.chat.completions.create(
        model="simulated", messages=STORY, stream=True, extra_body={"simulate": {"fail": "error", "fail_attempts": 99}}
    )
    with pytest.raises(openai.APIError) as caught:
        list(chunks)
    assert caught.value.code == "internal_error"
    assert "simulated failure" in caught.value.message


def test_leaving_a_stream_cancels_its_task(client: OpenAI, stack: Stack) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="simulated", messages=STORY, stream=True, extra_body={"simulate": {"seconds": 50, "steps": 500}}
    )
    chunks = raw.parse()
    next(iter(chunks))
    chunks.close()
    wait_until(lambda: stack.get(raw.headers["x-task-id"])["status"] == "cancelled", what="it to be cancelled")


def test_leaving_a_stream_that_waits_in_the_queue_cancels_its_task(stack: Stack) -> None:
    blocking = [stack.submit(simulate={"seconds": 50}, priority=10) for _ in range(4)]  # all slots of the worker
    for task in blocking:
        stack.at_work(task)
    asked = {"model": "simulated", "messages": STORY, "stream": True, "metadata": {"mark": "queued"}}
    connection = raw_request(stack, "/v1/chat/completions", asked)
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert (marked(stack, "queued") or {})["status"] == "pending"
    connection.close()
    wait_until(lambda: (marked(stack, "queued") or {})["status"] == "cancelled", what="it to be cancelled")
    for task in blocking:
        stack.api.patch(f"/tasks/{task}/cancel")
    for task in blocking:
        stack.wait_for(task)


def test_an_answer_goes_on_when_its_engine_died_under_it(client: OpenAI, stack: Stack) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="simulated", messages=STORY, stream=True, extra_body={"simulate": SLOWLY}
    )
    chunks = raw.parse()
    seen = list(itertools.islice(chunks, 4))
    stack.kill_engine()
    seen += list(chunks)
    task = stack.get(raw.headers["x-task-id"])
    assert task["attempt"] == 2
    assert text_of(seen) == task["result"]["text"]


def test_many_streams_at_once_hold_no_thread_each(client: OpenAI, stack: Stack) -> None:
    asked: Any = {"model": "simulated", "messages": STORY, "stream": True, "extra_body": {"simulate": {"seconds": 1}}}
    streams = [client.chat.completions.create(**asked) for _ in range(30)]
    assert stack.api.get("/tasks/?limit=1").status_code == 200
    assert {"simulated answer" in text_of(list(stream)) for stream in streams} == {True}
