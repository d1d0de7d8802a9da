"""Following a task: all its events from a position to the last one, holding neither a thread nor a connection between
two of them. The one primitive of all live transports; who may follow was asked before.

    with follow(task_id, after) as follower:
        async for event in follower: ...
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from tasks_app import events as log_events
from tasks_app import streams
from tasks_app.realtime import events, live, reading
from tasks_app.realtime.changes import LOOK_AGAIN, Ear
from tasks_app.realtime.events import START, Event, Position
from tasks_app.realtime.reading import Line
from tasks_app.realtime.standing import Pass
from tasks_app.streams import Entry

log = structlog.get_logger(__name__)
LEAVES_WORKER = frozenset({log_events.RETRYING, log_events.REQUEUED, *events.LAST})


@contextmanager
def follow(task_id: UUID, after: Position = START, holder: Pass | None = None) -> Iterator[Follower]:
    """Needs a running event loop and `live.current`; what it holds is freed at the end of the block.

    Ends early when `holder` is worth nothing any more.
    """
    serving = live.current.get()
    serving.start()
    with ExitStack() as held:
        ear = held.enter_context(serving.changes.follow(str(task_id)))
        if holder is not None:
            held.enter_context(serving.passes.hold(holder, ear.refuse))
        yield Follower(serving, ear, task_id, after)


class Follower:
    """Iterate over it, or ask for the `next` event with a time-out. It ends after the last event."""

    def __init__(self, serving: live.Live, ear: Ear, task_id: UUID, after: Position) -> None:
        self._live, self._ear, self._task_id, self._after = serving, ear, task_id, after
        self._lines: deque[Line] = deque()  # of the log, read and not yet told
        self._ready: deque[Event] = deque()
        self._attempt: int | None = None  # on a worker now
        self._seq, self._n = after.seq, 0  # of the last event of the log, and of the attempt's output, that were told
        self.ended = False
        self.has_caught_up = False  # all that had happened was told; from now on it tells what happens

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.next()) is not None:
            yield event

    async def next(self, seconds: float | None = None) -> Event | None:
        """None if there is none within `seconds`, or if there will be none (`ended`): the last one was told, or whoever
        follows may not any more (`refused`).
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ready or self.refused:
            self.ended |= self.refused
            if self.ended or not await self._something_to_read(until):
                return None
            await self._read()
        event = self._ready.popleft()
        self.ended = event.is_last
        return event

    @property
    def refused(self) -> bool:
        return self._ear.refused

    async def _something_to_read(self, until: float | None) -> bool:
        while not (self._lines or self._ear.log or self._ear.stream):
            self.has_caught_up = True
            try:
                await asyncio.wait_for(self._ear.wake.wait(), None if until is None else until - time.monotonic())
            except TimeoutError:
                return False
            self._ear.wake.clear()
            if self.refused:
                break
        return True

    async def _read(self) -> None:
        """A part of what there is: live output goes before the next line of the log, which may end it."""
        if self._ear.log:
            await self._read_log()
        elif self._ear.stream and self._attempt is not None:
            self._ear.stream = False
            entries = await self._live.tails.read(streams.key(self._task_id, self._attempt), self._n)
            self._ear.stream |= bool(entries)  # there may be more
            await self._tell_entries(self._attempt, entries)
        elif self._lines:
            self._tell_line(self._lines.popleft())
        else:
            self._ear.stream = False

    async def _read_log(self) -> None:
        self._ear.log = False
        try:
            lines = await self._live.on_thread(reading.log_after, self._task_id, self._ear.seq)
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_away", reason=str(error).strip())
            await asyncio.sleep(LOOK_AGAIN)
            self._ear.log = True
            return
        self._lines.extend(lines)
        self._ear.seq = lines[-1].seq if lines else self._ear.seq
        self._ear.stream = True

    def _tell_line(self, line: Line) -> None:
        if line.type == log_events.STARTED:
            self._attempt, self._n = line.data["attempt"], 0
        elif line.type in LEAVES_WORKER:
            self._attempt, self._n = None, 0
        self._ear.is_live = self._attempt is not None
        is_new = line.seq > self._after.seq or line.type == events.DELETED
        if is_new:
            self._seq = max(line.seq, self._seq)
            self._ready.append(Event(self._position, line.type, self._task_id, line.at, line.data))
        elif line.type in events.LAST:
            self.ended = True
        elif line.seq == self._after.seq and self._attempt is not None:
            self._n = self._after.n
        self._ear.stream = line.seq >= self._after.seq  # older attempts' output is known too

    async def _tell_entries(self, attempt: int, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if missed := entry.n - self._n - 1:
                await self._tell_gap(missed)
            self._n = entry.n
            kind, data = told(attempt, entry)
            self._ready.append(Event(self._position, kind, self._task_id, entry.moment, data))

    async def _tell_gap(self, missed: int) -> None:
        try:
            whole = await self._live.on_thread(reading.snapshot, self._task_id)
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_away", reason=str(error).strip())
            whole = None
        self._n += missed
        self._ready.append(Event(self._position, events.GAP, self._task_id, timezone.now(), {"missed": missed}))
        if whole is not None:
            self._ready.append(Event(self._position, events.SNAPSHOT, self._task_id, timezone.now(), whole))

    @property
    def _position(self) -> Position:
        return Position(self._seq, self._n)


def told(attempt: int, entry: Entry) -> tuple[str, dict[str, Any]]:
    """`offset`: characters of this attempt before `text`."""
    text = {"text": entry.text, "offset": entry.offset} if entry.text else {}
    progress = {"fraction": entry.fraction, "step": entry.step, "total_steps": entry.total_steps}
    preview = {"preview": f"data:image/jpeg;base64,{entry.preview}"} if entry.preview else {}
    kind = events.DELTA if entry.text else events.PROGRESS
    return kind, {"attempt": attempt, "phase": entry.phase, **progress, **text, **preview}
