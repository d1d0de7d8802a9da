"""Which models are loaded on this device, who uses them, and who must go for another. Called by the loop and the lanes.

Knows megabytes and names, no tensors: a lane is what it can close.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gpu_worker.engine.protocol import WarmModel

MAX_MODELS = 32  # each costs a thread, however little memory it says it takes
ROOM_POLL = 0.2  # seconds; how soon a load that waits for room sees that nobody wants it any more


class Closable(Protocol):
    def close(self) -> None: ...


L = TypeVar("L", bound=Closable)


class ModelTooBig(Exception):
    """It would not fit even if nothing else were loaded."""


@dataclass(eq=False)
class Entry(Generic[L]):
    name: str
    keep_alive_seconds: float | None
    last_used: float
    task_type: str = ""
    pinned: bool = False  # stays loaded, whoever needs room; `pins` are of requests
    pins: int = 0  # requests that wait for it or run on it
    memory_mib: int = 0
    holds: bool = False  # its memory is reserved
    loaded: bool = False
    adapters: dict[str, int] = field(default_factory=dict)  # MiB by the adapted model's name; within memory_mib
    lane: L = field(init=False)

    @property
    def idle(self) -> bool:
        """It may go."""
        return self.loaded and not self.pins and not self.pinned


class ModelCache(Generic[L]):
    """A pinned entry is never closed. Closing happens outside the lock, and its memory counts until it is done."""

    def __init__(self, budget_mib: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget_mib = budget_mib
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[str, Entry[L]] = {}
        self._leaving: list[Entry[L]] = []

    def pin(self, key: str, entry: Callable[[], Entry[L]]) -> Entry[L]:
        """The entry of this key, or a new one, kept from eviction until `unpin`."""
        with self._changed:
            found = self._entries.get(key) or self._entries.setdefault(key, entry())
            found.pins += 1
            return found

    def unpin(self, entry: Entry[L]) -> None:
        with self._changed:
            entry.pins -= 1
            entry.last_used = self._clock()
            self._changed.notify_all()

    def reserve(self, entry: Entry[L], memory_mib: int, abandoned: Callable[[], bool]) -> bool:
        """Make room, closing idle models, the least recently used first; wait while all that is loaded is busy.

        `memory_mib`: all that the entry needs, with what it may hold already.
        False if nobody wants it any more. Raises ModelTooBig.
        """
        if memory_mib > self._budget_mib:
            raise ModelTooBig(f"needs {memory_mib} MiB; models may take {self._budget_mib} MiB on this device")
        while True:
            with self._changed:
                self._refuse_beside_pinned(entry, memory_mib)
                if self._has_room(entry, memory_mib):
                    entry.memory_mib, entry.holds = memory_mib, True
                    return True
                idle = self._take_idle()
                if idle is None and abandoned():
                    return False
                if idle is None:
                    self._changed.wait(ROOM_POLL)
            if idle is not None:
                self._close(idle)

    def loaded(self, entry: Entry[L], memory_mib: int) -> None:
        """It is warm now, and this is what it really takes."""
        with self._changed:
            entry.memory_mib, entry.loaded, entry.last_used = memory_mib, True, self._clock()
            self._changed.notify_all()

    def adapted(self, entry: Entry[L], bare_mib: int, adapters: dict[str, int]) -> None:
        """It bears these adapters now."""
        with self._changed:
            entry.adapters, entry.memory_mib = adapters, bare_mib + sum(adapters.values())
            self._changed.notify_all()

    def forget(self, entry: Entry[L]) -> None:
        """Its load came to nothing; the next request starts afresh."""
        with self._changed:
            self._entries = {key: other for key, other in self._entries.items() if other is not entry}
            self._changed.notify_all()

    def evict_idle(self) -> int:
        """Close every idle model: somebody ran out of memory. Says how many went."""
        gone = 0
        while (idle := self._take_idle()) is not None:
            self._close(idle)
            gone += 1
        return gone

    def expire(self) -> None:
        """Close the models whose keep-alive time has passed."""
        while (idle := self._take_idle(expired_at=self._clock())) is not None:
            self._close(idle)

    def warm(self) -> tuple[WarmModel, ...]:
        """As the catalogue knows them; variants of one name are added up."""
        memory: dict[tuple[str, str], int] = {}
        for entry in self._snapshot():
            if entry.loaded:
                bare = entry.memory_mib - sum(entry.adapters.values())
                for name, mib in ((entry.name, bare), *entry.adapters.items()):
                    key = (name, entry.task_type)
                    memory[key] = memory.get(key, 0) + mib
        return tuple(WarmModel(name, mib, task_type) for (name, task_type), mib in memory.items())

    def lanes(self) -> list[L]:
        return [entry.lane for entry in self._snapshot()]

    def _snapshot(self) -> list[Entry[L]]:
        with self._changed:
            return list(self._entries.values())

    def _has_room(self, newcomer: Entry[L], memory_mib: int) -> bool:
        holding = [
            entry for entry in (*self._entries.values(), *self._leaving) if entry.holds and entry is not newcomer
        ]
        return len(holding) < MAX_MODELS and sum(e.memory_mib for e in holding) + memory_mib <= self._budget_mib

    def _refuse_beside_pinned(self, entry: Entry[L], memory_mib: int) -> None:
        """What is pinned never goes, so waiting for it would be in vain."""
        pinned = [e for e in self._entries.values() if e.pinned and e.holds and e is not entry]
        left = self._budget_mib - sum(other.memory_mib for other in pinned)
        if memory_mib > left:
            names = ", ".join(sorted(other.name for other in pinned))
            raise ModelTooBig(f"needs {memory_mib} MiB; beside the pinned {names} models may take {left} MiB")

    def _take_idle(self, expired_at: float | None = None) -> Entry[L] | None:
        """Take the least recently used idle entry out of the table: from now on nobody can pin it."""
        with self._changed:
            idle = [
                (entry.last_used, key)
                for key, entry in self._entries.items()
                if entry.idle and (expired_at is None or _expired(entry, expired_at))
            ]
            if not idle:
                return None
            entry = self._entries.pop(min(idle)[1])
            self._leaving.append(entry)
            return entry

    def _close(self, entry: Entry[L]) -> None:
        entry.lane.close()
        with self._changed:
            self._leaving.remove(entry)
            self._changed.notify_all()


def _expired(entry: Entry[L], now: float) -> bool:
    return entry.keep_alive_seconds is not None and now - entry.last_used >= entry.keep_alive_seconds
