"""The worker: its engine, its reporter and its running attempts. Made by `gpu_worker.tasks` when Celery starts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError

from gpu_worker.attempt import Attempt
from gpu_worker.engine_face import Engine
from gpu_worker.reporting import Reporter
from tasks_app import artifacts
from tasks_app.leases import Beat
from tasks_app.outcomes import Completed, Failed, Outcome
from tasks_app.retries import FailureCode
from tasks_app.states import Status
from tasks_app.transitions import Claim, Finish
from workers_app.services import Registration, Vitals

log = structlog.get_logger(__name__)
PROGRESS_INTERVAL = 0.25  # seconds; each report is one UPDATE for all attempts of the worker


class Worker:
    def __init__(self, name: str, hostname: str, slots: int, engine: Engine) -> None:
        self.name = name
        self.incarnation = uuid4()
        self._engine = engine
        self._attempts: dict[UUID, Attempt] = {}
        self._stopping = False
        kinds, models = settings.WORKER_KINDS, settings.WORKER_MODELS
        registration = Registration(
            name, self.incarnation, hostname, slots, kinds, models, external=settings.WORKER_EXTERNAL
        )
        intervals = (settings.HEARTBEAT_INTERVAL, min(PROGRESS_INTERVAL, settings.HEARTBEAT_INTERVAL))
        self._reporter = Reporter(registration, self._vitals, self._beats, self._orders, intervals)

    def start(self) -> None:
        self._engine.start()
        self._reporter.start()

    def drain(self) -> None:
        """SIGTERM: no new work; what runs may finish within WORKER_DRAIN_SECONDS, then it goes back to the queue."""
        log.info("worker_drains", worker=self.name, attempts=len(self._attempts))
        self._stopping = True
        self._reporter.beat_now()
        timer = threading.Timer(settings.WORKER_DRAIN_SECONDS, self._give_back)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """After the pool is empty."""
        self._engine.stop()
        self._reporter.stop()

    def look_at(self, attempt_ids: Sequence[UUID]) -> None:
        """Somebody says that these were cancelled; the rows tell whether it is true."""
        if any(attempt_id in self._attempts for attempt_id in attempt_ids):
            self._reporter.beat_now()

    def execute(self, task_id: UUID, attempt_id: UUID) -> None:
        """One message: claim, run, finish. Returns when the outcome is committed, or was not wanted."""
        work = self._reporter.claim(Claim(task_id, attempt_id, uuid4()))
        if work is None:
            log.info("message_dropped", task_id=str(task_id), attempt_id=str(attempt_id))
            return
        bound = {"task_id": str(task_id), "attempt_id": str(attempt_id), "worker": self.name}
        with structlog.contextvars.bound_contextvars(**bound):
            attempt = Attempt(work, self._engine, self._reporter.beat_soon)
            self._attempts[attempt_id] = attempt
            try:
                outcome = self._outcome(attempt)
                if outcome is not None:
                    self._finish(attempt, outcome)
            finally:
                del self._attempts[attempt_id]

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
            stopping=self._stopping or self._reporter.displaced.is_set(),
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

    def _give_back(self) -> None:
        for attempt in list(self._attempts.values()):
            attempt.stop("drain")
