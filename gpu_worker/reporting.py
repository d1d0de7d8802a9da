"""The only door from the worker to the control plane: one thread, one database connection, several writes at a time.

The pool's threads hand in claims and finishes and wait for their answers; what is at hand goes out in one statement.
A database that is away delays them, it never loses them: every write may be sent again and is recognised as one's own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from tasks_app import hints, transitions
from tasks_app.leases import Beat, renew
from tasks_app.states import Status
from tasks_app.transitions import Claim, Claimed, Finish
from workers_app import services
from workers_app.models import Model
from workers_app.services import Registration, Vitals, Wish

log = structlog.get_logger(__name__)
RETRY_PAUSE = 0.5  # seconds between two tries on a database that is away
STOP_TIMEOUT = 5.0  # seconds to get the last words out


@dataclass(frozen=True, slots=True)
class Work:
    """A claim that was won, with the catalogue's entry (None if it is gone or disabled)."""

    claimed: Claimed
    model: Model | None


class Reporter:
    """`beats` is called by the reporter's thread and tells how every attempt stands; `orders` gets what came back."""

    def __init__(
        self,
        registration: Registration,
        vitals: Callable[[], Vitals],
        beats: Callable[[], Sequence[Beat]],
        orders: Callable[[Sequence[Beat], dict[UUID, Status]], None],
        heed: Callable[[Wish | None], None],
        intervals: tuple[float, float],
    ) -> None:
        """`intervals`: seconds between two heartbeats, and at least between two reports of progress.

        `heed` hears what the operator wants, at first before anything else; None: another process has the name now.
        """
        self._registration = registration
        self._vitals, self._beats, self._orders, self._heed = vitals, beats, orders, heed
        self._heartbeat_interval, self._progress_interval = intervals
        self._inbox: queue.SimpleQueue[tuple[Claim | Finish, Future[Any]] | None] = queue.SimpleQueue()
        self._due = {"heartbeat": 0.0, "progress": 0.0}  # monotonic
        self._progress_waits = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._inbox.put(None)
        self._thread.join(STOP_TIMEOUT)

    # ------------------------------------------------------------ from the pool's threads

    def claim(self, claim: Claim) -> Work | None:
        """None: not yours, drop the message. Waits for as long as the database is away."""
        answer: Future[Work | None] = Future()
        self._inbox.put((claim, answer))
        return answer.result()

    def finish(self, finish: Finish) -> Status | None:
        """The task's status now; None: the attempt was no longer current, discard what it made.

        Raises DatabaseError if PostgreSQL refuses the values themselves.
        """
        answer: Future[Status | None] = Future()
        self._inbox.put((finish, answer))
        return answer.result()

    def beat_soon(self) -> None:
        """Something changed: report it with the next progress."""
        if not self._progress_waits.is_set():
            self._progress_waits.set()
            self._inbox.put(None)

    def beat_now(self) -> None:
        """The worker's state changed, or a cancel was hinted at: tell and read at once."""
        self._due["heartbeat"] = 0.0
        self._inbox.put(None)

    # ------------------------------------------------------------ the reporter's thread

    def _run(self) -> None:
        self._heed(self._insist(self._register))
        while not self._stopping.is_set():
            self._settle(self._collect())
            self._beat_if_due()
        self._settle(self._collect())
        self._try(lambda: services.leave(self._registration.name, self._registration.incarnation))
        hints.wake_scheduler()
        connection.close()

    def _collect(self) -> list[tuple[Claim | Finish, Future[Any]]]:
        """What is at hand, after having waited for something or for the next beat."""
        items = []
        try:
            items.append(self._inbox.get(timeout=self._seconds_to_next_beat()))
            while True:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            return [item for item in items if item is not None]

    def _seconds_to_next_beat(self) -> float:
        due = [self._due["heartbeat"]] + ([self._due["progress"]] if self._progress_waits.is_set() else [])
        return 0.0 if self._stopping.is_set() else max(0.0, min(due) - time.monotonic())

    def _settle(self, items: Sequence[tuple[Claim | Finish, Future[Any]]]) -> None:
        finishes = [(item, answer) for item, answer in items if isinstance(item, Finish)]
        claims = [(item, answer) for item, answer in items if isinstance(item, Claim)]
        self._settle_group(finishes, self._finish)
        self._settle_group(claims, self._claim)

    def _settle_group(self, group: Sequence[tuple[Any, Future[Any]]], write: Callable[[list[Any]], list[Any]]) -> None:
        """All in one statement; if PostgreSQL refuses the values, one by one, so that only the guilty one fails."""
        if not group:
            return
        try:
            answers = self._insist(lambda: write([item for item, _ in group]))
        except DatabaseError as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for single in group:
                self._settle_group([single], write)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            future.set_result(answer)

    def _claim(self, claims: list[Claim]) -> list[Work | None]:
        won = transitions.claim(claims, self._registration.name, self._registration.incarnation)
        names = {claimed.model for claimed in won}
        rows = {(m.task_type, m.name): m for m in Model.objects.filter(name__in=names, enabled=True)}
        # By token, which each message's claim has for itself: of two messages for one attempt only one is to run it.
        work = {c.token: Work(c, rows.get((c.task_type, c.model))) for c in won}
        return [work.get(claim.token) for claim in claims]

    def _finish(self, finishes: list[Finish]) -> list[Status | None]:
        statuses = transitions.finish(finishes)
        hints.wake_scheduler()  # slots are free
        return [statuses.get(finish.claimed.attempt_id) for finish in finishes]

    def _beat_if_due(self) -> None:
        now = time.monotonic()
        heartbeat = now >= self._due["heartbeat"]
        if not heartbeat and not (self._progress_waits.is_set() and now >= self._due["progress"]):
            return
        self._due["progress"] = now + self._progress_interval
        self._progress_waits.clear()
        self._try(self._renew)
        if heartbeat:
            self._due["heartbeat"] = now + self._heartbeat_interval
            self._try(self._heartbeat)

    def _renew(self) -> None:
        beats = self._beats()
        if beats:
            self._orders(beats, renew(beats))

    def _register(self) -> Wish:
        wish = services.register(self._registration)
        for row in transitions.rescue_from_earlier(self._registration.name, self._registration.incarnation):
            log.warning("task_rescued", task_id=str(row.id), status=row.status, attempt=row.attempt)
        hints.wake_scheduler()
        return wish

    def _heartbeat(self) -> None:
        self._heed(services.heartbeat(self._registration.name, self._registration.incarnation, self._vitals()))

    def _insist(self, write: Callable[[], Any]) -> Any:
        """Until it works, or PostgreSQL refuses the values. The worker outlives a database that is away."""
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError) as error:
                log.warning("database_away", reason=str(error).strip())
                connection.close()
                time.sleep(RETRY_PAUSE)

    def _try(self, write: Callable[[], Any]) -> None:
        """Once: a missed beat is made up by the next."""
        try:
            write()
        except (OperationalError, InterfaceError) as error:
            log.warning("beat_missed", reason=str(error).strip())
            connection.close()
