"""Follows what was sent to the external pool to its end: results, losses, stops. One pass at a time, by one thread.

The result backend is the truth. Events only make it faster; where they got lost, the workers are asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from celery import states
from django.conf import settings

from gpu_worker.engine.protocol import Failed
from gpu_worker.engine_face import Released
from gpu_worker.external import contract
from gpu_worker.external.flight import Flight
from gpu_worker.external.remote import Raised, Remote, RemoteAway, Seen, Unreadable
from gpu_worker.external.roster import Peer, Roster
from tasks_app.retries import FailureCode
from tasks_app.states import CancelMode

log = structlog.get_logger(__name__)
ASK_INTERVAL = 2.0  # seconds between two questions who has what
MISSED = 2  # answers in which its worker does not know it: its result is lost
REVOKE_AGAIN = 1.0  # seconds
KILL_PATIENCE = 5.0  # seconds after which a kill that nobody confirms is given up
FORGOTTEN_AFTER = 3600.0  # seconds; what was let go of before it started is not watched for longer


class Follower:
    def __init__(self, remote: Remote, roster: Roster) -> None:
        self._remote, self._roster = remote, roster
        self._asked_at = 0.0

    def follow(self, flights: Sequence[Flight]) -> list[Flight]:
        """One pass; the flights that have ended for good. Raises RemoteAway: then nothing is known."""
        over = [flight for flight in flights if self._look(flight)]
        left = [flight for flight in flights if flight not in over]
        self._carry_out_stops(left)
        if time.monotonic() - self._asked_at > ASK_INTERVAL:
            self._asked_at = time.monotonic()
            self._ask_where(left)
        return over + [flight for flight in left if self._is_lost(flight)]

    # ------------------------------------------------------------ what the result backend says

    def _look(self, flight: Flight) -> bool:
        """True when it has ended there."""
        try:
            seen = self._remote.look(flight.request_id)
        except Unreadable as error:
            flight.end(Failed(FailureCode.INTERNAL_ERROR, f"The external worker's answer cannot be read: {error}."))
            return True
        if seen.state == states.STARTED:
            self.started(flight, str((seen.value or {}).get("hostname")))
        if seen.state == states.REVOKED:
            return self._was_revoked(flight)
        if seen.state not in (states.SUCCESS, states.FAILURE):
            return False
        self._conclude(flight, seen)
        self._remote.forget(flight.request_id)
        return True

    def _conclude(self, flight: Flight, seen: Seen) -> None:
        seconds = flight.seconds()
        if flight.listener is None:
            log.info("late_result_dropped", attempt_id=flight.request_id, state=seen.state)
        elif isinstance(seen.value, Raised) and seen.state == states.FAILURE:
            raised = seen.value
            flight.end(contract.failed(raised.name, raised.message, raised.traceback, seconds))
        else:
            try:
                flight.end(contract.completed(flight.request, seen.value, seconds))
            except FileNotFoundError:  # the attempt has just ended, and its directory with it
                log.info("late_result_dropped", attempt_id=flight.request_id, state=seen.state)
            except Exception as error:  # the boundary: what a stranger returned must not stop the others' follower
                log.exception("answer_broke_us", attempt_id=flight.request_id)
                message = f"The external worker's answer cannot be read: {type(error).__name__}."
                flight.end(Failed(FailureCode.INTERNAL_ERROR, message))

    def _was_revoked(self, flight: Flight) -> bool:
        """REVOKED is written by whoever hears a revoke, so it is no proof yet that nobody runs the task."""
        if flight.peer is None:
            self._ask_where([flight])
        if flight.peer is not None and not flight.peer.can_stop:
            return False
        if not flight.stop_wanted:
            message = "Somebody else revoked it in the external pool's Celery."
            flight.end(Failed(FailureCode.ENGINE_CRASHED, message, inference_seconds=flight.seconds()))
        elif flight.peer is None:
            flight.release(Released(CancelMode.DEQUEUED, "It was taken back before an external worker started it."))
        else:
            flight.release(Released(CancelMode.KILLED, f"Its process on {flight.peer.hostname} was killed."))
        return True

    # ------------------------------------------------------------ stopping

    def _carry_out_stops(self, flights: Sequence[Flight]) -> None:
        now = time.monotonic()
        for flight in flights:
            if flight.stop_wanted and (flight.revoked_at is None or now - flight.revoked_at > REVOKE_AGAIN):
                flight.revoked_at = now
                self._revoke(flight)
            if flight.kill_wanted_at is not None and flight.listener is not None:
                self._give_up(flight, now - flight.kill_wanted_at)

    def _revoke(self, flight: Flight) -> None:
        """To the one that runs it; to all, if nobody is known to run it."""
        peers = self._roster.present() if flight.peer is None else [flight.peer]
        self._remote.kill(flight.request_id, [peer.hostname for peer in peers if peer.can_stop])
        if flight.peer is None:
            self._remote.drop(flight.request_id, [peer.hostname for peer in peers if not peer.can_stop])

    def _give_up(self, flight: Flight, seconds: float) -> None:
        """The grace is over. Tell the truth about a task that nobody stopped."""
        if flight.peer is None:
            self._ask_where([flight])
        if flight.peer is None:
            reason = "Its message was revoked; no external worker was seen to start it."
            flight.release(Released(CancelMode.DEQUEUED, reason))
        elif not flight.peer.can_stop or seconds > KILL_PATIENCE:
            log.warning("external_task_abandoned", attempt_id=flight.request_id, worker=flight.peer.hostname)
            reason = f"{flight.peer.hostname} ({flight.peer.pool} pool) cannot stop it, and computes on."
            flight.release(Released(CancelMode.ABANDONED, reason))

    # ------------------------------------------------------------ what the workers say

    def started(self, flight: Flight, hostname: str) -> None:
        """It runs there; an event, the result backend or the worker said so."""
        peer = self._roster.get(hostname)
        if peer is not None:
            flight.begin(peer)

    def _ask_where(self, flights: Sequence[Flight]) -> None:
        """Who has which; one round for all of them."""
        hosts = {peer.hostname for peer in self._roster.present()} | {f.peer.hostname for f in flights if f.peer}
        answers = self._remote.where([flight.request_id for flight in flights], sorted(hosts))
        for flight in flights:
            for hostname, known in answers.items():
                if known.get(flight.request_id) == "active":
                    self.started(flight, hostname)
            if flight.peer is not None and flight.peer.hostname in answers:
                is_there = flight.request_id in answers[flight.peer.hostname]
                flight.missing = 0 if is_there else flight.missing + 1

    def _is_lost(self, flight: Flight) -> bool:
        """Nobody will ever tell of it again: True, and its listener knows."""
        if flight.peer is None:
            return self._never_started(flight)
        hostname = flight.peer.hostname
        if self._roster.has_lost(hostname, flight.peer.pid) and not self._is_with_newcomer(flight, flight.peer):
            return self._lose(flight, f"External worker {hostname} stopped answering while it ran this task.")
        if flight.missing >= MISSED:
            return self._lose(flight, f"External worker {hostname} ran this task, and left no result.")
        return False

    def _is_with_newcomer(self, flight: Flight, before: Peer) -> bool:
        """The result backend names who started a task before the newcomer of that name has introduced itself: then the
        task was put down to the process before it. True while the newcomer does not answer: silence is a loss later.
        """
        now = self._roster.get(before.hostname)
        if now is None or now.pid == before.pid or now.is_silent(time.monotonic()):
            return False
        answers = self._remote.where([flight.request_id], [now.hostname])
        if now.hostname not in answers:
            return True
        if answers[now.hostname].get(flight.request_id) != "active":
            return False
        flight.peer = now
        return True

    def _lose(self, flight: Flight, message: str) -> bool:
        try:
            if self._look(flight):  # it may have finished just before
                return True
        except RemoteAway:
            return False
        flight.end(Failed(FailureCode.WORKER_LOST, message, inference_seconds=flight.seconds()))
        return True

    def _never_started(self, flight: Flight) -> bool:
        age = time.monotonic() - flight.sent_at
        if flight.listener is None:
            return age > FORGOTTEN_AFTER
        if age > settings.EXTERNAL_START_SECONDS:
            flight.stop_wanted = True
            limit = settings.EXTERNAL_START_SECONDS
            flight.release(Released(CancelMode.DEQUEUED, f"No external worker started it within {limit:g} seconds."))
        return False


def runs_on(peer: Peer) -> str:
    return f"{peer.hostname} ({peer.pool} {peer.description.slots if peer.description else 0})"
