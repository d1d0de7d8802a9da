"""The worker's side of live output: what it writes into Redis, and what it does when Redis does not take it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from gpu_worker import streaming
from gpu_worker.streaming import StreamWriter
from tasks_app import hints, streams
from tasks_app.realtime import following
from tasks_app.streams import Entry

PATIENCE = 30.0  # seconds; an attempt waits less long, but a busy machine is no fault


@pytest.fixture
def writer() -> Iterator[StreamWriter]:
    writer = StreamWriter()
    yield writer
    writer.stop()


@pytest.fixture
def server() -> redis.Redis:
    return redis.Redis.from_url(hints.address(settings.REDIS_URL))


def written(server: redis.Redis, stream: streaming.Stream) -> list[Entry]:
    entries: Any = server.xrange(streams.key(stream.task_id, stream.attempt))
    return [streams.unpack(*entry) for entry in entries]


def test_pieces_are_numbered_and_know_where_their_text_begins(writer: StreamWriter, server: redis.Redis) -> None:
    stream = writer.open(uuid4(), 1)
    stream.tell("inference")
    writer.settle(stream, PATIENCE)
    for step, word in enumerate(["one ", "two "], start=1):
        stream.tell("inference", step, 2, word)
        writer.settle(stream, PATIENCE)
    told = written(server, stream)
    assert [(entry.n, entry.step, entry.text, entry.offset) for entry in told] == [
        (1, None, "", 0), (2, 1, "one ", 0), (3, 2, "two ", 4),
    ]  # fmt: skip
    assert [entry.fraction for entry in told] == [None, 0.5, 1.0]
    assert 0 < server.ttl(streams.key(stream.task_id, 1)) <= streams.KEPT_SECONDS


def test_what_waits_is_joined_and_no_text_is_lost(writer: StreamWriter, server: redis.Redis) -> None:
    stream = writer.open(uuid4(), 1)
    for step in range(1, 1001):
        stream.tell("inference", step, 1000, f"{step} ")
    writer.settle(stream, PATIENCE)
    told = written(server, stream)
    assert len(told) < 1000
    assert "".join(entry.text for entry in told) == "".join(f"{step} " for step in range(1, 1001))
    assert [entry.n for entry in told] == list(range(1, len(told) + 1))
    assert told[-1].step == 1000


def test_of_the_previews_that_wait_the_last_is_written_and_followers_see_a_data_url(
    writer: StreamWriter, server: redis.Redis
) -> None:
    stream = writer.open(uuid4(), 1)
    for step, picture in enumerate([b"old", b"new", b""], start=1):
        stream.tell("inference", step, 3, preview=picture)
    writer.settle(stream, PATIENCE)
    [*_, last] = written(server, stream)
    assert last.step == 3
    assert [entry.preview for entry in written(server, stream) if entry.preview][-1] == "bmV3"
    kind, told = following.told(1, Entry(1, 0.0, "inference", 1, 3, preview="bmV3"))
    assert (kind, told["preview"]) == ("task.progress", "data:image/jpeg;base64,bmV3")


def test_text_that_cannot_be_written_as_utf_8_is_mended(writer: StreamWriter, server: redis.Redis) -> None:
    stream = writer.open(uuid4(), 1)
    stream.tell("inference", 1, 1, "a\x00b\ud800c")
    writer.settle(stream, PATIENCE)
    assert written(server, stream)[0].text == "ab?c"


def test_a_redis_that_is_away_neither_blocks_nor_fills_the_memory_and_leaves_a_hole_in_the_numbers(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hints, "PAUSE_AFTER_ERROR", 0.1)
    socket = tmp_path / "redis.sock"
    there = server.connection_pool.connection_kwargs
    url = f"unix://{socket}?db={there['db']}"
    writer = StreamWriter(lambda: redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)))
    stream = writer.open(uuid4(), 1)
    began = time.monotonic()
    for _ in range(1000):
        stream.tell("inference", 1, 2, "x" * 1000)
    stream.close()
    assert time.monotonic() - began < 5
    assert sum(len(entry.text) for entry in writer._waiting.values()) <= streaming.MAX_WAITING
    socket.symlink_to(there["path"])
    told: list[Entry] = []
    while not told:
        stream.tell("inference", 2, 2, "back")
        time.sleep(0.02)
        told = written(server, stream)
    assert told[0].n > 1
    assert told[0].offset > 0
    writer.stop()


def test_an_attempt_that_was_given_up_does_not_write_into_the_next_ones_output(
    writer: StreamWriter, server: redis.Redis
) -> None:
    task = uuid4()
    zombie, successor = writer.open(task, 1), writer.open(task, 2)
    successor.tell("inference", 1, 2, "right")
    zombie.tell("inference", 1, 2, "wrong")
    zombie.close()
    successor.close()
    assert [entry.text for entry in written(server, successor)] == ["right"]
