"""Who is there: the external workers that consume our queue, by their heartbeats, and what their pools can do.

Heard by the pool's event thread, read by all of its threads. Knows Celery's events as dicts, and nothing of tasks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ASK_AGAIN = 30.0  # seconds; queues may be added and given up while a worker runs, and a question may get lost
ASK_STRANGER_AGAIN = 3.0  # seconds; one that has just started beats before it answers
BEATS_MISSED = 5  # of its own heartbeats: it is gone
BLOCKED_WHILE_BUSY = frozenset({"solo"})  # such a pool computes in the thread that sends the heartbeats
STOPPABLE = frozenset({"prefork"})  # a process to itself for each task, which can be killed


@dataclass(frozen=True, slots=True)
class Description:
    """What a worker says of itself when it is asked."""

    queues: frozenset[str]
    pool: str  # prefork, threads, solo, gevent, …
    slots: int


@dataclass(frozen=True, slots=True)
class Peer:
    """One external worker process. A restart under the same name has another `pid`."""

    hostname: str
    pid: int
    heard_at: float  # monotonic
    lost_after: float  # seconds
    version: str = ""
    leaving: bool = False  # it said good-bye: it takes nothing new, and finishes what it has
    asked_at: float | None = None
    description: Description | None = None

    def is_silent(self, now: float) -> bool:
        return now - self.heard_at > self.lost_after

    @property
    def pool(self) -> str:
        return self.description.pool if self.description else "unknown"

    @property
    def can_stop(self) -> bool:
        return self.pool in STOPPABLE


class Roster:
    def __init__(self, queue: str, least_seconds: float, describe: Callable[[str], Description | None]) -> None:
        self._queue, self._least_seconds, self._describe = queue, least_seconds, describe
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}

    # ------------------------------------------------------------ from the event thread

    def heard(self, event: Mapping[str, Any]) -> None:
        """worker-online, worker-heartbeat or worker-offline. Asks a stranger what it consumes."""
        now = time.monotonic()
        peer = self._updated(event, now)
        pause = ASK_AGAIN if peer.description else ASK_STRANGER_AGAIN
        if peer.asked_at is None or now - peer.asked_at > pause:
            description = self._describe(peer.hostname) or peer.description
            self._keep(replace(peer, asked_at=now, description=description, heard_at=time.monotonic()))

    def _updated(self, event: Mapping[str, Any], now: float) -> Peer:
        hostname, pid = str(event["hostname"]), int(event.get("pid") or 0)
        lost_after = max(self._least_seconds, BEATS_MISSED * float(event.get("freq") or 2.0))
        known = self._peers.get(hostname)
        if known is None or known.pid != pid:
            known = Peer(hostname, pid, now, lost_after)
        leaving = event["type"] == "worker-offline"
        return self._keep(replace(known, heard_at=now, version=str(event.get("sw_ver") or ""), leaving=leaving))

    def _keep(self, peer: Peer) -> Peer:
        with self._lock:
            self._peers[peer.hostname] = peer
        return peer

    # ------------------------------------------------------------ from any thread

    def present(self) -> list[Peer]:
        """Those that take work from our queue, by name."""
        now = time.monotonic()
        with self._lock:
            peers = [peer for peer in self._peers.values() if self._consumes(peer)]
        return sorted((p for p in peers if not p.leaving and not p.is_silent(now)), key=lambda peer: peer.hostname)

    def get(self, hostname: str) -> Peer | None:
        with self._lock:
            return self._peers.get(hostname)

    def has_lost(self, hostname: str, pid: int) -> bool:
        """That process is gone, and what it ran with it. One that left in good order still finishes its work."""
        peer = self.get(hostname)
        if peer is None or peer.pid != pid:
            return True
        return peer.is_silent(time.monotonic()) and not peer.leaving and peer.pool not in BLOCKED_WHILE_BUSY

    def _consumes(self, peer: Peer) -> bool:
        return peer.description is not None and self._queue in peer.description.queues
