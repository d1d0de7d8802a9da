"""The external pool: an `Engine` that hands each request to somebody else's Celery workers and follows it there.

A worker with this engine is an ordinary Baton worker in all else: claims, leases, deadlines and retries are its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import structlog
from django.conf import settings

from gpu_worker.engine.process import EngineGone
from gpu_worker.engine.protocol import Submit
from gpu_worker.engine_face import Facts, Listener, Released
from gpu_worker.external import contract
from gpu_worker.external.flight import Flight
from gpu_worker.external.follower import Follower, runs_on
from gpu_worker.external.remote import Remote, RemoteAway
from gpu_worker.external.roster import Roster
from tasks_app.states import CancelMode
from tasks_app.wire_names import TASK_NAMES
from workers_app.models import ABSENT

log = structlog.get_logger(__name__)
POLL_INTERVAL = 0.2  # seconds between two looks at the results; an event makes it sooner
AWAY_PAUSE = 1.0  # seconds before the next try on a Celery that does not answer
STOP_TIMEOUT = 3.0  # seconds
SEND_INTERVAL = 0.25  # seconds between two tries to hand over a request
HARD_LIMIT_GRACE = 30.0  # seconds beyond our own limits after which a prefork worker kills a task that we lost


class ExternalPool:
    """Theirs are the devices, so nothing here judges whether they are sound, and a process is theirs to share."""

    restarts = 0
    quarantine = ""

    def __init__(self, remote: Remote, least_lost_seconds: float) -> None:
        self._remote = remote
        self._roster = Roster(remote.queue, least_lost_seconds, remote.describe)
        self._follower = Follower(remote, self._roster)
        self._flights: dict[str, Flight] = {}
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._follower_thread = threading.Thread(target=self._follow, name="external-follower", daemon=True)
        self._patience = least_lost_seconds  # seconds for somebody to be there; by then a heartbeat told if not

    @classmethod
    def from_settings(cls) -> Self:
        urls = (settings.EXTERNAL_BROKER_URL, settings.EXTERNAL_RESULT_BACKEND)
        return cls(Remote(*urls, settings.EXTERNAL_QUEUE), settings.LEASE_SECONDS)

    def start(self, on_quarantine: Callable[[], None]) -> None:
        self._follower_thread.start()
        threading.Thread(target=self._listen, name="external-events", daemon=True).start()

    def stop(self) -> None:
        """After a last pass, which revokes what was given back."""
        self._stopping.set()
        self._news.set()
        if self._follower_thread.is_alive():
            self._follower_thread.join(STOP_TIMEOUT)

    # ------------------------------------------------------------ from the attempts

    def submit(
        self, request: Submit, listener: Listener, timeout: float, wanted: Callable[[], bool], alone: bool = False
    ) -> None:
        """If nobody can take it, the request is released: it goes back to Baton's queue at no cost."""
        flight, arguments = Flight(request, listener), contract.arguments(request)
        deadline = time.monotonic() + min(timeout, self._patience)
        while wanted():
            refusal = self._hand_over(flight, arguments)
            if refusal is None:
                return
            if time.monotonic() >= deadline:
                flight.release(Released(CancelMode.DEQUEUED, refusal))
                return self.forget(request.request_id)
            self._stopping.wait(SEND_INTERVAL)
        self.forget(request.request_id)
        raise EngineGone("it is not wanted any more")

    def _hand_over(self, flight: Flight, arguments: Mapping[str, Any]) -> str | None:
        """Why not, or None if their broker has it. A message that was refused may have arrived all the same, so from
        here on the flight is watched.
        """
        if not self._roster.present():
            return f"No external worker consumes {self._remote.queue}."
        self._flights[flight.request_id] = flight
        request, limit = flight.request, flight.request.execution_timeout
        hard_limit = limit + settings.CANCEL_GRACE_SECONDS + HARD_LIMIT_GRACE if limit is not None else None
        try:
            self._remote.publish(request.request_id, TASK_NAMES[request.model.task_type], arguments, hard_limit)
        except RemoteAway as error:
            return str(error)
        return None

    def cancel(self, request_id: str) -> None:
        flight = self._flights.get(request_id)
        if flight is not None:
            flight.stop_wanted = True
            self._news.set()

    def kill(self, reason: str, blamed: frozenset[str]) -> None:
        for request_id in blamed:
            flight = self._flights.get(request_id)
            if flight is not None and flight.kill_wanted_at is None:
                flight.stop_wanted, flight.kill_wanted_at = True, time.monotonic()
                self._news.set()

    def forget(self, request_id: str) -> None:
        """Nobody waits for it any more. If it has not ended it is stopped, and watched until it has."""
        flight = self._flights.get(request_id)
        if flight is not None:
            flight.listener, flight.stop_wanted = None, True

    # ------------------------------------------------------------ for the heartbeat

    def distrust(self, reason: str) -> None:
        log.info("quarantine_of_others", reason=reason)

    def trust(self) -> None:
        """There is nothing that it would not trust."""

    def state(self) -> str:
        if self._follower_thread.ident is None:
            return "off"
        return "ready" if self._roster.present() else ABSENT

    def facts(self) -> Facts:
        peers = self._roster.present()
        flights = list(self._flights.values())
        return Facts(
            device={"type": "external", "name": ", ".join(map(runs_on, peers)) or f"nobody on {self._remote.queue}"},
            versions={"celery": ", ".join(sorted({peer.version for peer in peers if peer.version}))} if peers else {},
            abandoned=sum(flight.listener is None and flight.peer is not None for flight in flights),
        )

    # ------------------------------------------------------------ threads of the pool

    def _follow(self) -> None:
        while True:
            self._news.wait(POLL_INTERVAL)
            self._news.clear()
            is_last = self._stopping.is_set()
            try:
                for flight in self._follower.follow(list(self._flights.values())):
                    self._flights.pop(flight.request_id, None)
            except RemoteAway as error:
                log.warning("external_away", reason=str(error))
                self._stopping.wait(AWAY_PAUSE)
            if is_last:
                return

    def _listen(self) -> None:
        handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "worker-online": self._roster.heard,
            "worker-heartbeat": self._roster.heard,
            "worker-offline": self._roster.heard,
            "task-started": self._on_started,
            **dict.fromkeys(("task-succeeded", "task-failed", "task-revoked"), self._on_ended),
        }
        while not self._stopping.is_set():
            try:
                self._remote.listen(handlers, self._stopping.is_set)
            except (RemoteAway, KeyError, TypeError, ValueError) as error:  # the latter: an event of another shape
                log.warning("external_events_away", reason=str(error))
                self._stopping.wait(AWAY_PAUSE)

    def _on_started(self, event: Mapping[str, Any]) -> None:
        flight = self._flights.get(str(event["uuid"]))
        if flight is not None:
            self._follower.started(flight, str(event["hostname"]))
            self._news.set()

    def _on_ended(self, event: Mapping[str, Any]) -> None:
        if str(event["uuid"]) in self._flights:
            self._news.set()
