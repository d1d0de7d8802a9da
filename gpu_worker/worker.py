"""The worker: its engine, its reporter and its running attempts. Made by `gpu_worker.tasks` when Celery starts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError

from gpu_worker import newer
from gpu_worker.attempt import Attempt
from gpu_worker.engine_face import Engine
from gpu_worker.reporting import Reporter
from gpu_worker.streaming import StreamWriter
from tasks_app import artifacts, dispatch
from tasks_app.leases import Beat
from tasks_app.outcomes import Completed, Failed, Outcome
from tasks_app.retries import FailureCode
from tasks_app.states import Status
from tasks_app.transitions import Claim, Finish
from workers_app.models import WorkerState
from workers_app.services import Registration, Vitals, Wish

log = structlog.get_logger(__name__)
PROGRESS_INTERVAL = 0.25  # seconds; each report is one UPDATE for all attempts of the worker


class Worker:
    def __init__(self, name: str, hostname: str, slots: int, engine: Engine) -> None:
        self.name = name
        self.incarnation = uuid4()
        self._hostname = hostname
        self._engine = engine
        self._attempts: dict[UUID, Attempt] = {}
        self._streams = StreamWriter()
        self._wish: Wish | None = None  # what the operator wants, as last heard
        self._stopping = False  # its process ends: no new work
        self._gives_back = False  # and what it still has goes back
        self._retires = False
        kinds, models = newer.known(settings.WORKER_KINDS), settings.WORKER_MODELS
        registration = Registration(
            name, self.incarnation, hostname, slots, kinds, models, external=settings.WORKER_EXTERNAL
        )
        intervals = (settings.HEARTBEAT_INTERVAL, min(PROGRESS_INTERVAL, settings.HEARTBEAT_INTERVAL))
        self._reporter = Reporter(registration, self._vitals, self._beats, self._orders, self._heed, intervals)

    def start(self) -> None:
        """The engine follows when the row has told that nobody retired this worker."""
        self._reporter.start()

    def drain(self) -> None:
        """SIGTERM: no new work; what runs may finish within WORKER_DRAIN_SECONDS, then it goes back to the queue.

        The second time it goes back at once. Called by a signal's handler.
        """
        if self._stopping:
            self.give_back()
            return
        self._stopping = True
        self._reporter.beat_now()
        timer = threading.Timer(settings.WORKER_DRAIN_SECONDS, self.give_back)
        timer.daemon = True
        timer.start()
        log.info("worker_drains", worker=self.name, attempts=len(self._attempts))

    def give_back(self) -> None:
        """The time is up, or SIGQUIT does not grant any. May be called by a signal's handler."""
        self._stopping = self._gives_back = True
        self._stop_attempts("drain")
        self._reporter.beat_now()

    def stop(self) -> None:
        """After the pool is empty."""
        self._engine.stop()
        self._reporter.stop()
        self._streams.stop()
        if self._retires:
            dispatch.drop_queue(self._hostname)

    def look_at(self, attempt_ids: Sequence[UUID]) -> None:
        """Somebody says that these were cancelled; the rows tell whether it is true."""
        if any(attempt_id in self._attempts for attempt_id in attempt_ids):
            self._reporter.beat_now()

    def execute(self, task_id: UUID, attempt_id: UUID) -> None:
        """One message: claim, run, finish. Returns when the outcome is committed, or was not wanted."""
        work = None if self._takes_nothing() else self._reporter.claim(Claim(task_id, attempt_id, uuid4()))
        if work is None:
            log.info("message_dropped", task_id=str(task_id), attempt_id=str(attempt_id))
            return
        bound = {"task_id": str(task_id), "attempt_id": str(attempt_id), "worker": self.name}
        with structlog.contextvars.bound_contextvars(**bound):
            stream = self._streams.open(task_id, work.claimed.number)
            attempt = Attempt(work, self._engine, stream, self._reporter.beat_soon)
            self._attempts[attempt_id] = attempt
            if self._gives_back or self._engine.quarantine:
                attempt.stop("drain")  # it was claimed while all others were being stopped
            try:
                outcome = self._outcome(attempt)
                stream.close()  # so that its last words are there before its end
                if outcome is not None:
                    self._finish(attempt, outcome)
            finally:
                del self._attempts[attempt_id]

    def _takes_nothing(self) -> bool:
        return self._stopping or bool(self._engine.quarantine)

    def _outcome(self, attempt: Attempt) -> Outcome | None:
        log.info("attempt_started", number=attempt.claimed.number, model=attempt.claimed.model)
        try:
            return attempt.run()
        except Exception as error:  # the boundary: a mistake of ours must still end the attempt, and be told
            log.exception("attempt_broke")
            return Failed(FailureCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}"[:500])

    def _finish(self, attempt: Attempt, outcome: Outcome) -> None:
        try:
            status = self._reporter.finish(Finish(attempt.claimed, outcome, attempt.progress))
        except DatabaseError as error:
            log.exception("outcome_refused")
            self._discard(outcome)
            outcome = Failed(FailureCode.INTERNAL_ERROR, f"The result could not be recorded: {error}"[:500])
            status = self._reporter.finish(Finish(attempt.claimed, outcome))
        if status != Status.COMPLETED:
            self._discard(outcome)
        log.info("attempt_ended", outcome=type(outcome).__name__.lower(), status=status or "fenced")

    @staticmethod
    def _discard(outcome: Outcome) -> None:
        if isinstance(outcome, Completed):
            artifacts.discard(artifact.file for artifact in outcome.artifacts)

    # ------------------------------------------------------------ for the reporter's thread

    def _vitals(self) -> Vitals:
        facts = self._engine.facts()
        return Vitals(
            engine_state=self._engine.state(),
            engine_restarts=self._engine.restarts,
            stopping=self._stopping,
            quarantine_reason=self._engine.quarantine,
            abandoned=facts.abandoned,
            device=facts.device,
            warm_models=facts.warm_models,
            versions=facts.versions,
        )

    def _beats(self) -> list[Beat]:
        return [attempt.beat() for attempt in list(self._attempts.values())]

    def _orders(self, beats: Sequence[Beat], statuses: dict[UUID, Status]) -> None:
        for beat in beats:
            attempt = self._attempts.get(beat.attempt_id)
            status = statuses.get(beat.attempt_id)
            if attempt is None or status == Status.RUNNING:
                continue
            attempt.stop("cancel" if status == Status.CANCELLING else "fenced")

    def _heed(self, wish: Wish | None) -> None:
        """What the operator wants; None if another process has this worker's name."""
        before, self._wish = self._wish, wish
        if wish is None:
            self._displaced()
        elif wish.state == WorkerState.RETIRED:
            self._retire(is_new=before is None)
        elif before is None or self._engine.state() == "off":
            self._begin(wish)
        elif wish.state == WorkerState.ACTIVE and wish.said_at != before.said_at:
            self._engine.trust()

    def _begin(self, wish: Wish) -> None:
        if wish.quarantine_reason:
            self._engine.distrust(wish.quarantine_reason)
        self._engine.start(self._quarantined)

    def _retire(self, is_new: bool) -> None:
        """A worker that runs ends when it is empty. One that was started although it is retired waits to be resumed:
        if it ended too, whoever supervises it would start it again and again.
        """
        if is_new:
            log.warning("worker_is_retired", worker=self.name, advice="it idles until somebody resumes it")
        elif self._engine.state() != "off" and not self._attempts:
            self._retires = True
            self._end("worker_retires")

    def _displaced(self) -> None:
        self._gives_back = True
        self._stop_attempts("displaced")
        self._end("worker_displaced")

    def _end(self, why: str) -> None:
        """In good order, as if a service manager had asked for it."""
        if not self._stopping:
            log.warning(why, worker=self.name)
            os.kill(os.getpid(), signal.SIGTERM)

    def _quarantined(self) -> None:
        self._stop_attempts("quarantine")
        self._reporter.beat_now()

    def _stop_attempts(self, why: str) -> None:
        for attempt in list(self._attempts.values()):
            attempt.stop(why)
