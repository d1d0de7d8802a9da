"""Following a task from a position: the primitive under SSE, WebSocket and the OpenAI streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings

from gpu_worker.streaming import StreamWriter
from tasks_app import hints, services, streams
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Returned
from tasks_app.realtime import changes, events, live
from tasks_app.realtime.events import START, Event, Position
from tasks_app.realtime.following import Follower, follow
from tests.api.live_server import elsewhere
from tests.factories import end, make_task, start

pytestmark = pytest.mark.django_db(transaction=True)
DONE = Completed({"text": "one two three", "finish_reason": "stop"})


def running(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """In a web process's surroundings."""

    async def run() -> Any:
        threads = ThreadPoolExecutor(4)
        serving = live.Live(threads)
        live.current.set(serving)
        try:
            return await scenario()
        finally:
            await serving.close()
            threads.shutdown()

    return asyncio.run(run())


def followed(task: Task, after: Position = START) -> list[Event]:
    async def scenario() -> list[Event]:
        with follow(task.pk, after) as follower:
            return [event async for event in follower]

    return list(running(scenario))


def say(task: Task, attempt: int, *words: str, total: int = 3) -> None:
    """As the worker of that attempt does, a piece for each word."""
    writer = StreamWriter()
    stream = writer.open(task.pk, attempt)
    for step, word in enumerate(words, start=1):
        stream.tell("inference", step, total, word)
        writer.settle(stream, 10)
    writer.stop()


def ids_and_types(told: list[Event]) -> list[tuple[str, str]]:
    return [(str(event.position), event.type) for event in told]


def spoken(told: list[Event]) -> str:
    return "".join(event.data["text"] for event in told if event.type == events.DELTA)


def test_a_task_that_has_ended_is_told_from_its_log_and_what_is_left_of_its_output() -> None:
    task = make_task()
    claimed = start(task)
    say(task, 1, "one ", "two ", "three")
    end(claimed, DONE)
    told = followed(task)
    assert ids_and_types(told) == [
        ("1", "task.created"),
        ("2", "task.dispatched"),
        ("3", "task.started"),
        ("3.1", "task.output.delta"),
        ("3.2", "task.output.delta"),
        ("3.3", "task.output.delta"),
        ("4", "task.completed"),
    ]
    assert spoken(told) == "one two three"
    assert [event.data["offset"] for event in told[3:6]] == [0, 4, 8]
    assert told[-1].data["result"] == DONE.result


@pytest.mark.parametrize("at", range(7))
def test_it_resumes_after_any_position_with_the_very_next_event(at: int) -> None:
    task = make_task()
    claimed = start(task)
    say(task, 1, "one ", "two ", "three")
    end(claimed, DONE)
    everything = followed(task)
    assert ids_and_types(followed(task, everything[at].position)) == ids_and_types(everything[at + 1 :])


def test_output_of_every_attempt_stands_between_its_start_and_its_end() -> None:
    task = make_task()
    first = start(task)
    say(task, 1, "wrong ")
    end(first, Returned("its worker stops"))
    second = start(task)
    say(task, 2, "right")
    end(second, DONE)
    told = followed(task)
    assert [event.type for event in told if event.type != "task.dispatched"] == [
        "task.created",
        "task.started",
        "task.output.delta",
        "task.retrying",
        "task.started",
        "task.output.delta",
        "task.completed",
    ]
    assert [event.data["attempt"] for event in told if event.type == events.DELTA] == [1, 2]
    resumed = followed(task, told[3].position)
    assert resumed == told[4:]


def test_it_tells_what_happens_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_AGAIN", 60.0)
    task = make_task()

    async def scenario() -> list[str]:
        types = []
        with follow(task.pk) as follower:
            await until_idle(follower, types)
            claimed = await asyncio.to_thread(elsewhere, lambda: start(task))
            await until_idle(follower, types)
            await asyncio.to_thread(say, task, 1, "one ")
            types.append((await follower.next(20)).type)  # type: ignore[union-attr]
            await asyncio.to_thread(elsewhere, lambda: end(claimed, DONE))
            types.append((await follower.next(20)).type)  # type: ignore[union-attr]
            assert await follower.next() is None
            assert follower.ended
        return types

    expected = ["created", "dispatched", "started", "output.delta", "completed"]
    assert running(scenario) == [f"task.{name}" for name in expected]


async def until_idle(follower: Follower, types: list[str]) -> None:
    while (event := await follower.next(3 if not types else 1)) is not None:
        types.append(event.type)


def test_it_finds_everything_without_any_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes.Changes, "hear", lambda *_: None)
    monkeypatch.setattr(changes.Changes, "hear_streams", lambda *_: None)
    monkeypatch.setattr(live, "LOOK_AGAIN", 0.2)
    task = make_task()
    claimed = start(task)

    async def scenario() -> list[Event]:
        with follow(task.pk) as follower:
            told = [await follower.next(20) for _ in range(3)]
            await asyncio.to_thread(say, task, 1, "one ")
            told.append(await follower.next(20))
            await asyncio.to_thread(elsewhere, lambda: end(claimed, DONE))
            return [*told, await follower.next(20)]  # type: ignore[list-item]

    assert [event.type for event in running(scenario)[2:]] == ["task.started", "task.output.delta", "task.completed"]


def test_trimmed_output_is_a_gap_and_then_the_whole_task(settings: Any) -> None:
    settings.STREAM_LENGTH = 100
    task = make_task()
    claimed = start(task)
    say(task, 1, *(f"{n} " for n in range(350)), total=350)
    end(claimed, DONE)
    told = followed(task)
    kinds = [event.type for event in told]
    assert kinds[:5] == ["task.created", "task.dispatched", "task.started", "gap", "snapshot"]
    missed = told[3].data["missed"]
    assert 100 <= missed <= 250
    assert told[4].data["status"] == "completed"
    assert str(told[5].position) == f"3.{missed + 1}"
    assert spoken(told).startswith(f"{missed} ")
    assert told[5].data["offset"] == len("".join(f"{n} " for n in range(missed)))
    assert followed(task, told[3].position) == told[5:]


def test_output_that_redis_forgot_leaves_the_log_whole() -> None:
    task = make_task()
    claimed = start(task)
    say(task, 1, "one ")
    redis.Redis.from_url(hints.address(settings.REDIS_URL)).delete(streams.key(task.pk, 1))
    end(claimed, DONE)
    assert [event.position.seq for event in followed(task)] == [1, 2, 3, 4]


def test_a_task_that_is_deleted_meanwhile_is_told_of_and_ends_it() -> None:
    task = make_task()

    async def scenario() -> list[Event]:
        with follow(task.pk) as follower:
            assert await follower.next(20)
            await asyncio.to_thread(elsewhere, lambda: services.delete(task, by="tester", force=True))
            return [event async for event in follower]

    assert running(scenario)[-1].type == "task.deleted"


def test_there_is_nothing_after_the_last_event() -> None:
    task = make_task("completed")
    assert followed(task, Position(task.last_seq)) == []


def test_a_hundred_followers_lose_and_reorder_nothing() -> None:
    tasks = [make_task() for _ in range(20)]
    claims = [start(task) for task in tasks]
    words = [f"{n} " for n in range(30)]

    def work(number: int) -> None:
        say(tasks[number], 1, *words, total=30)
        elsewhere(lambda: end(claims[number], DONE))

    async def one(task: Task) -> list[Event]:
        with follow(task.pk) as follower:
            return [event async for event in follower]

    async def scenario() -> list[list[Event]]:
        following = [asyncio.create_task(one(task)) for task in tasks for _ in range(5)]
        await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(20)))
        return await asyncio.gather(*following)

    for told in running(scenario):
        assert spoken(told) == "".join(words)
        assert [event.position.seq for event in told if not event.is_live] == [1, 2, 3, 4]
        assert [event.position.n for event in told if event.is_live] == list(range(1, 31))


def test_who_stops_following_leaves_nothing_behind() -> None:
    task = make_task()

    async def scenario() -> Any:
        with follow(task.pk) as follower:
            await follower.next(20)
            assert live.current.get().changes.ears
        return live.current.get().changes.ears

    assert running(scenario) == {}


@pytest.mark.parametrize("text", ["", "x", "-1", "1.", ".1", "1.2.3", "1e3", "9999999999", "١"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)
