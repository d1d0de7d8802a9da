"""One attempt from claim to finish, in a thread of the pool: prepare, run on the engine, store, report.

The thread only waits; every wait has a time-out. Whatever happens ends in exactly one outcome handed to the reporter.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from gpu_worker import newer, results, specs
from gpu_worker.engine.process import EngineGone
from gpu_worker.engine.protocol import Cancelled as EngineCancelled
from gpu_worker.engine.protocol import Completed as EngineCompleted
from gpu_worker.engine.protocol import Failed as EngineFailed
from gpu_worker.engine.protocol import Finished, PhaseChanged, Progress, Report, Submit
from gpu_worker.engine_face import Engine, EngineDied, Released
from gpu_worker.inputs import PreparationFailed, prepare_input
from gpu_worker.reporting import Work
from gpu_worker.streaming import Stream
from tasks_app import crash_points
from tasks_app.leases import Beat
from tasks_app.outcomes import Cancelled, EngineDeath, Failed, Measured, Outcome, Returned
from tasks_app.retries import FailureCode
from tasks_app.states import CancelMode, Phase
from workers_app.models import Model

log = structlog.get_logger(__name__)
TICK = 0.1  # seconds between two looks at the clocks
GIVES_BACK = {
    "drain": "The worker is stopping.",
    "quarantine": "The worker's device failed its self-check.",
    "displaced": "Another worker was started under the same name.",
}  # why an attempt ends at no cost to its task
ENGINE_READY_SECONDS = 120.0  # an engine that is not ready by then counts as crashed


@dataclass(frozen=True, slots=True)
class _Stop:
    """Somebody wants the attempt to end. `kind`: cancel, fenced, or one of GIVES_BACK."""

    kind: str


@dataclass(slots=True)
class _Clock:
    """Monotonic times of one attempt; None: not yet."""

    submitted: float = field(default_factory=time.monotonic)
    inference: float | None = None
    stop_asked: float | None = None


class Attempt:
    """`run` is called once by its own thread; `stop` and `beat` by the reporter's."""

    def __init__(self, work: Work, engine: Engine, stream: Stream, on_change: Any) -> None:
        self.claimed = work.claimed
        self._model = work.model
        self._engine = engine
        self.stream = stream
        self._on_change = on_change
        self._inbox: queue.SimpleQueue[Report | EngineDied | Released | _Stop] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._phase = Phase.LOADING_MODEL
        self._progress: dict[str, Any] | None = None
        self._load_seconds: float | None = None
        self._text: list[str] = []  # what a language model said so far: kept if the attempt is killed
        self._clock = _Clock()
        self._stop: _Stop | None = None
        self._acknowledged_at: datetime | None = None
        self._overdue: Failed | None = None
        self._is_fenced = False  # no longer current: it is stopped like a cancelled one, and nothing is reported

    # ------------------------------------------------------------ from the reporter's thread

    def stop(self, kind: str) -> None:
        self._inbox.put(_Stop(kind))

    def beat(self) -> Beat:
        with self._lock:
            return Beat(
                task_id=self.claimed.task_id,
                attempt_id=self.claimed.attempt_id,
                token=self.claimed.token,
                phase=self._phase,
                progress=self._progress,
                model_load_seconds=self._load_seconds,
            )

    @property
    def progress(self) -> dict[str, Any] | None:
        """How far it came."""
        return self._progress

    # ------------------------------------------------------------ the attempt's own thread

    def run(self) -> Outcome | None:
        """The outcome, with its files stored; None if the attempt was fenced and nothing may be reported."""
        if self._model is None:
            name = self.claimed.model
            return Failed(FailureCode.MODEL_LOAD_FAILED, f"Model {name} is no longer in the catalogue.", "model")
        if unknown := newer.unknown_in(self.claimed, self._model):
            return Returned(f"This worker's version does not know {unknown}.", unable=True)
        with tempfile.TemporaryDirectory(prefix="baton-attempt-", ignore_cleanup_errors=True) as directory:
            try:
                request = self._request(self._model, Path(directory))
                self._engine.submit(
                    request,
                    self._inbox.put,
                    ENGINE_READY_SECONDS,
                    wanted=self._inbox.empty,
                    alone=self.claimed.is_suspect,
                )
                self._clock = _Clock()
            except PreparationFailed as error:
                return Failed(error.code, str(error), error.param)
            except EngineGone as error:
                return self._not_taken(error)
            try:
                return self._follow()
            finally:
                self._engine.forget(str(self.claimed.attempt_id))

    def _not_taken(self, error: EngineGone) -> Outcome | None:
        """No engine came up in time, or a stop arrived while the attempt still waited for one."""
        if self._inbox.empty():
            return Failed(FailureCode.ENGINE_CRASHED, f"The engine could not take the task: {error}.")
        match self._inbox.get():
            case _Stop(kind="fenced"):
                return None
            case _Stop(kind="cancel"):
                return Cancelled(CancelMode.COOPERATIVE, datetime.now(UTC))
            case _Stop(kind=kind) if kind in GIVES_BACK:
                return Returned(GIVES_BACK[kind])
            case _:
                return Returned("The worker is stopping.")

    def _request(self, model: Model, directory: Path) -> Submit:
        return Submit(
            request_id=str(self.claimed.attempt_id),
            model=specs.spec_of(model),
            input=prepare_input(self.claimed, directory),
            parameters=self.claimed.parameters,
            directory=str(directory),
            number=self.claimed.number,
            task_id=str(self.claimed.task_id),
            execution_timeout=self.claimed.execution_timeout,
        )

    def _follow(self) -> Outcome | None:
        while True:
            try:
                message = self._inbox.get(timeout=TICK)
            except queue.Empty:
                self._watch_the_clock()
                continue
            match message:
                case PhaseChanged():
                    self._enter(message)
                case Progress():
                    self._note(message)
                case Finished(outcome=outcome):
                    return self._conclude(outcome)
                case EngineDied():
                    return self._engine_died(message)
                case _Stop(kind=kind) if kind in GIVES_BACK:
                    self._engine.cancel(str(self.claimed.attempt_id))
                    return Returned(GIVES_BACK[kind], self._measured())
                case Released():
                    return self._released(message)
                case _Stop():
                    self._ask_to_stop(message)
            self._watch_the_clock()

    def _enter(self, message: PhaseChanged) -> None:
        with self._lock:
            self._phase = Phase(message.phase)
            if message.phase == "inference":
                self._clock.inference = time.monotonic()
                self._load_seconds = message.model_load_seconds
        self.stream.tell(message.phase)
        self._on_change()

    def _note(self, message: Progress) -> None:
        with self._lock:
            self._text.append(message.text_delta)
            self._progress = {
                "fraction": round(message.fraction, 4),
                "step": message.step,
                "total_steps": message.total_steps,
            }
        self.stream.tell(self._phase, message.step, message.total_steps, message.text_delta, message.preview)
        self._on_change()

    def _ask_to_stop(self, stop: _Stop) -> None:
        self._is_fenced |= stop.kind == "fenced"
        if self._stop is None:
            self._stop = stop
            self._acknowledged_at = datetime.now(UTC)
            self._clock.stop_asked = time.monotonic()
            self._engine.cancel(str(self.claimed.attempt_id))

    def _watch_the_clock(self) -> None:
        """Time-outs: they stop the request like a cancel does, first kindly, then by killing the engine."""
        now, clock = time.monotonic(), self._clock
        if clock.stop_asked is not None:
            if now - clock.stop_asked > settings.CANCEL_GRACE_SECONDS:
                name = f"attempt {self.claimed.attempt_id} did not stop"
                self._engine.kill(name, frozenset({str(self.claimed.attempt_id)}))
            return
        overdue = self._what_is_overdue(now)
        if overdue is not None:
            self._overdue = overdue
            self._ask_to_stop(_Stop("overdue"))

    def _what_is_overdue(self, now: float) -> Failed | None:
        limit = self.claimed.execution_timeout
        if self._clock.inference is not None:
            if now - self._clock.inference > limit:
                return Failed(FailureCode.EXECUTION_TIMEOUT, f"The execution took longer than {limit:g} seconds.")
        elif now - self._clock.submitted > settings.MODEL_LOAD_SECONDS:
            limit = settings.MODEL_LOAD_SECONDS
            return Failed(FailureCode.MODEL_LOAD_FAILED, f"The model did not load within {limit:g} seconds.")
        return None

    def _conclude(self, outcome: EngineCompleted | EngineFailed | EngineCancelled) -> Outcome | None:
        if self._is_fenced:
            return None
        measured = results.measured(outcome, self._load_seconds)
        match outcome:
            case EngineCompleted():
                with self._lock:
                    self._phase = Phase.STORING_RESULT
                stored = results.store(outcome, self.claimed.task_id, measured)
                crash_points.reach("store.after_files")
                return stored
            case EngineFailed():
                return results.failed(outcome, measured)
            case EngineCancelled():
                if self._overdue is not None:
                    return results.with_measure(self._overdue, measured)
                partial = results.printable(outcome.result)
                return Cancelled(CancelMode.COOPERATIVE, self._acknowledged_at, partial, measured)

    def _engine_died(self, death: EngineDied) -> Outcome | None:
        if self._is_fenced:
            return None
        if self._overdue is not None:
            return results.with_measure(self._overdue, self._measured())
        if self._stop is not None:
            partial = {"text": "".join(self._text), "finish_reason": "cancelled"} if any(self._text) else None
            return Cancelled(CancelMode.KILLED, self._acknowledged_at, partial, self._measured())
        if death.blamed is not None and str(self.claimed.attempt_id) not in death.blamed:
            return Returned("Another task's engine had to be killed.", self._measured())
        return EngineDeath(death.reason, death.alone, self._measured())

    def _released(self, released: Released) -> Outcome | None:
        """Whoever had the request has let go of it; if nobody here wanted that, it is another's turn at no cost."""
        if self._is_fenced:
            return None
        if self._overdue is not None:
            return results.with_measure(self._overdue, self._measured())
        if self._stop is not None:
            return Cancelled(released.mode, self._acknowledged_at, None, self._measured())
        return Returned(released.reason, self._measured())

    def _measured(self) -> Measured:
        """As far as the clocks here tell, for an attempt whose engine cannot tell any more."""
        since = self._clock.inference
        return Measured(self._load_seconds, time.monotonic() - since if since is not None else None)
