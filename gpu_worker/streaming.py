"""The worker's live output: what its attempts say, written into their Redis streams by one thread, many at a time.

Nothing here ever blocks an attempt or its engine. What Redis does not take is dropped, and its numbers with it, so that
followers see that something is missing.
"""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import redis
import structlog
from django.conf import settings

from gpu_worker.results import printable
from tasks_app import hints, streams
from tasks_app.streams import Entry

PAUSE = 0.01  # seconds between two writes; what comes meanwhile goes out together
SHARE = 2.0  # it rests for this many times as long as a write took, so that a slow Redis costs the worker little
SETTLE_SECONDS = 0.25  # an attempt that ends waits so long for its last words to be written before its end
MAX_WAITING = 64_000  # characters of one attempt that wait for Redis; what is more is dropped
KEEP_AGAIN = 60.0  # seconds after which the time to live of a stream is set anew
log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Stream:
    """Of one attempt. Its thread calls `tell` and, once, `close`."""

    writer: StreamWriter
    task_id: UUID
    attempt: int
    n: int = 0  # of the last entry that was written or dropped
    said: int = 0  # characters of those
    kept_at: float | None = None  # monotonic; when its time to live was last set

    def tell(
        self, phase: str, step: int | None = None, total_steps: int | None = None, text: str = "", preview: bytes = b""
    ) -> None:
        """`preview`: JPEG."""
        picture = b64encode(preview).decode()
        self.writer.put(self, Entry(0, time.time(), phase, step, total_steps, printable(text), preview=picture))

    def close(self) -> None:
        """What was told is written now, or will not be before the end of the task is known."""
        self.writer.settle(self, SETTLE_SECONDS)

    def number(self, waiting: Entry) -> Entry:
        self.n += 1
        entry = replace(waiting, n=self.n, offset=self.said)
        self.said += len(entry.text)
        return entry


class StreamWriter:
    """One thread per worker, started by the first entry. `connect` gives None where there is no Redis."""

    def __init__(self, connect: Callable[[], redis.Redis | None] = hints.connect_once) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._waiting: dict[Stream, Entry] = {}
        self._writing: Mapping[Stream, Entry] = {}
        self._thread: threading.Thread | None = None
        self._is_away = False
        self._stopping = False

    def open(self, task_id: UUID, attempt: int) -> Stream:
        return Stream(self, task_id, attempt)

    def put(self, stream: Stream, entry: Entry) -> None:
        if not settings.REDIS_URL:
            return
        with self._changed:
            held = self._waiting.get(stream)
            self._waiting[stream] = self._joined(stream, held, entry) if held else entry
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @staticmethod
    def _joined(stream: Stream, held: Entry, entry: Entry) -> Entry:
        if len(held.text) + len(entry.text) > MAX_WAITING:
            stream.number(held)  # dropped: its number is never seen
            return entry
        step = held.step if entry.step is None else entry.step
        total_steps = held.total_steps if entry.total_steps is None else entry.total_steps
        text, preview = held.text + entry.text, entry.preview or held.preview
        return replace(entry, step=step, total_steps=total_steps, text=text, preview=preview)

    def settle(self, stream: Stream, seconds: float) -> None:
        """Wait until all of it is written, if Redis takes anything at all."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_away or not self._has(stream), seconds)

    def _has(self, stream: Stream) -> bool:
        return stream in self._waiting or stream in self._writing

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(SETTLE_SECONDS)

    # ------------------------------------------------------------ the writer's thread

    def _run(self) -> None:
        client = self._connect()
        while client is not None and (batch := self._take()) is not None:
            began = time.monotonic()
            error = self._write(client, batch)
            self._done(error)
            self._rest(hints.PAUSE_AFTER_ERROR if error else max(PAUSE, SHARE * (time.monotonic() - began)))

    def _take(self) -> Mapping[Stream, Entry] | None:
        """All that waits, numbered; None: stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            batch = {stream: stream.number(entry) for stream, entry in self._waiting.items()}
            self._waiting, self._writing = {}, batch
            return batch or None

    def _done(self, error: redis.RedisError | None) -> None:
        if error is not None and not self._is_away:
            log.info("live_output_lost", reason=str(error))
        with self._changed:
            self._writing, self._is_away = {}, error is not None
            self._changed.notify_all()

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _write(self, client: redis.Redis, batch: Mapping[Stream, Entry]) -> redis.RedisError | None:
        try:
            with client.pipeline(transaction=False) as pipe:
                for stream, entry in batch.items():
                    self._add(pipe, stream, entry)
                pipe.publish(hints.STREAMED, " ".join({str(stream.task_id) for stream in batch}))
                pipe.execute(raise_on_error=False)  # an entry that is there already was written by a try that failed
        except redis.RedisError as error:
            return error
        return None

    @staticmethod
    def _add(pipe: redis.client.Pipeline, stream: Stream, entry: Entry) -> None:
        key, now = streams.key(stream.task_id, stream.attempt), time.monotonic()
        pipe.xadd(key, streams.pack(entry), id=f"{entry.n}-0", maxlen=settings.STREAM_LENGTH)  # type: ignore[arg-type]
        if stream.kept_at is None or now - stream.kept_at > KEEP_AGAIN:
            stream.kept_at = now
            pipe.expire(key, streams.KEPT_SECONDS)
