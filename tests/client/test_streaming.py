"""A task's events through the client, also over a connection that is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from baton_client import AsyncClient, Client, NotFound, WaitTimeout

from tests.client.program import Command
from tests.client.test_tasks import NOBODY, PROMPT, simulated
from tests.faults.proxy import Proxy
from tests.faults.stack import Stack

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(stack: Stack) -> Iterator[Proxy]:
    assert stack.listener is not None
    with Proxy(("127.0.0.1", 0), ("127.0.0.1", stack.listener.getsockname()[1])) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, key: str) -> Iterator[Client]:
    """A client whose connections can be cut."""
    host, port = proxy.address
    with Client(f"http://{host}:{port}", key) as client:
        yield client


def log_of(client: Client, task_id: str) -> list[int]:
    return [event.seq for event in client.stream(task_id) if event.type not in LIVE and event.seq is not None]


LIVE = {"task.progress", "task.output.delta", "gap", "snapshot"}


def test_a_stream_has_every_step_of_a_task_and_ends_with_it(client: Client) -> None:
    task = client.submit("llm", PROMPT, **simulated(1))
    events = list(client.stream(task.task_id))
    assert [event.type for event in events if event.type not in LIVE] == [
        "task.created", "task.dispatched", "task.started", "task.completed",
    ]  # fmt: skip
    assert [event.seq for event in events if event.type not in LIVE] == [1, 2, 3, 4]
    assert events[-1].task.status == "completed"
    assert all(event.task_id == task.task_id for event in events)
    assert list(client.stream(task.task_id, after=events[-1].id)) == []
    assert [event.seq for event in client.stream(task.task_id, after=3)][-1] == 4


def test_text_comes_in_pieces_that_make_the_whole(client: Client) -> None:
    story = {"prompt": "Tell me a story."}
    task = client.submit("llm", story, parameters={"max_new_tokens": 60, "temperature": 0})
    pieces = [event.text for event in client.stream(task.task_id) if event.text]
    assert "".join(pieces) == client.get(task.task_id).text
    assert len(pieces) > 1


def test_a_stream_that_is_cut_again_and_again_misses_nothing(client: Client, through: Client, proxy: Proxy) -> None:
    task = client.submit("llm", PROMPT, **simulated(1.5))
    seen = []
    for event in through.stream(task.task_id):
        seen.append(event)
        proxy.cut()
    assert [event.seq for event in seen if event.type not in LIVE] == [1, 2, 3, 4]
    assert seen[-1].task.status == "completed"
    assert len({event.id for event in seen if event.type not in ("gap", "snapshot")}) == len(
        [event for event in seen if event.type not in ("gap", "snapshot")]
    )


@pytest.mark.thorough
def test_a_stream_outlives_a_restart_of_the_web_process(client: Client, stack: Stack) -> None:
    task = client.submit("llm", PROMPT, **simulated(4))
    kinds = []
    for event in client.stream(task.task_id):
        kinds.append(event.type)
        if event.type == "task.started":
            stack.kill("web")
            stack.start_web()
    assert [kind for kind in kinds if kind not in LIVE][-2:] == ["task.started", "task.completed"]


def test_a_submit_whose_answer_is_lost_on_the_way_makes_one_task(client: Client, through: Client, proxy: Proxy) -> None:
    proxy.swallow_reply_to(b"POST /tasks/")
    task = through.submit("llm", {"prompt": "lost on the way"}, **simulated())
    assert proxy.swallowed.is_set()
    assert [found.task_id for found in client.list(q="lost on the way")] == [task.task_id]


def test_a_stream_ends_when_its_time_is_up(client: Client) -> None:
    task = client.submit("llm", PROMPT, **simulated(30))
    with pytest.raises(WaitTimeout) as caught:
        list(client.stream(task.task_id, timeout=0.7))
    assert caught.value.last_seen.task_id == task.task_id
    client.cancel(task.task_id, wait=20)
    with pytest.raises(NotFound):
        list(client.stream(NOBODY))


def test_the_async_client_follows_many_tasks_at_once(url: str, key: str) -> None:
    async def follow(client: AsyncClient) -> list[str]:
        task = await client.submit("llm", PROMPT, **simulated(0.5))
        return [event.type async for event in client.stream(task.task_id)]

    async def all_of_them() -> list[list[str]]:
        async with AsyncClient(url, key) as client:
            found = await asyncio.gather(*(follow(client) for _ in range(8)))
            done = await client.run("llm", PROMPT, **simulated())
            assert [task.task_id async for task in client.list(limit=1)] == [done.task_id]
            batch = await client.submit_batch([{"task_type": "llm", "input": PROMPT, **simulated()}] * 3)
            assert (await client.wait_batch(batch.batch_id, timeout=60)).counts["completed"] == 3
            results = [task.task_id async for task in client.batch_results(batch.batch_id)]
            assert results == list(batch.task_ids)
            assert (await client.retry_batch(batch.batch_id)).batch_id is None
            return found

    assert all(kinds[-1] == "task.completed" for kinds in asyncio.run(all_of_them()))


def test_watch_as_json_is_a_line_for_each_event(baton: Command, client: Client) -> None:
    task = client.submit("llm", PROMPT, **simulated(0.5))
    lines = baton("watch", task.task_id, "--json").stdout.splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("task.created", "task.completed")


def test_run_streams_text_when_told_to(baton: Command) -> None:
    arguments = ("run", "llm", "Tell me a story.", "-p", "max_new_tokens=60", "-p", "temperature=0")
    assert baton(*arguments, "--stream").stdout == baton(*arguments).stdout
