"""Keeps one engine process alive for the worker: starts it, watches it, kills it when it hangs, starts it again.

Every running attempt registers a listener; it hears the reports on its request, or that its engine died.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gpu_worker import telemetry
from gpu_worker.engine.process import EngineGone, EngineProcess
from gpu_worker.engine.protocol import Finished, PhaseChanged, Progress, Pulse, Ready, Report, Submit
from gpu_worker.engine.watchdog import Watchdog
from gpu_worker.engine_face import EngineDied, Facts, Listener

log = structlog.get_logger(__name__)
SILENCE_SECONDS = 60.0  # without any pulse, the first included: starting Python on a busy host takes a while
WATCH_INTERVAL = 0.25  # seconds
QUICK_DEATH = 5.0  # seconds; an engine that lived shorter is started again with back-off
BACKOFF_MAX = 10.0  # seconds


@dataclass(slots=True)
class _Life:
    """One engine process and what is known of it."""

    process: EngineProcess
    watchdog: Watchdog
    started_at: float
    listeners: dict[str, Listener] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # request id → model
    ready: Ready | None = None
    pulse: Pulse | None = None
    death: EngineDied | None = None  # why it was killed, if we did it


class EngineKeeper:
    def __init__(self, stall_seconds: float, env: dict[str, str] | None = None) -> None:
        self._stall_seconds = stall_seconds
        self._env = env or {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._life: _Life | None = None
        self._stopping = threading.Event()
        self._last: Ready | None = None
        self.restarts = 0

    def start(self) -> None:
        self._spawn()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self, timeout: float = 3.0) -> None:
        self._stopping.set()
        with self._lock:
            life = self._life
        if life is not None:
            life.process.stop(timeout)

    # ------------------------------------------------------------ from the attempts

    def submit(self, request: Submit, listener: Listener, timeout: float, wanted: Callable[[], bool]) -> None:
        """Hand a request to the engine, waiting for one that is ready as long as it is `wanted`.

        Raises EngineGone after `timeout` seconds, or when it is no longer wanted; nothing was submitted then.
        """
        deadline = time.monotonic() + timeout
        tried: _Life | None = None
        while True:
            life = tried = self._ready_life(deadline, wanted, other_than=tried)
            with self._lock:
                life.listeners[request.request_id] = listener
                life.models[request.request_id] = request.model.name
            try:
                return life.process.submit(request)
            except EngineGone:
                with self._lock:
                    if self._life is not life:
                        return  # its death has been told to all listeners, this one too
                    self.forget(request.request_id)

    def _ready_life(self, deadline: float, wanted: Callable[[], bool], other_than: _Life | None) -> _Life:
        with self._changed:
            while self._life is None or self._life.ready is None or self._life is other_than:
                if time.monotonic() >= deadline or not wanted():
                    raise EngineGone("no engine became ready in time")
                self._changed.wait(WATCH_INTERVAL)
            return self._life

    def cancel(self, request_id: str) -> None:
        """Ask for a stop at the next step; a dead engine's listeners hear of its death anyway."""
        with self._lock:
            life = self._life
        if life is not None and request_id in life.listeners:
            try:
                life.process.cancel(request_id)
            except EngineGone as error:
                log.info("cancel_not_delivered", request_id=request_id, reason=str(error))

    def kill(self, reason: str, blamed: frozenset[str]) -> None:
        """SIGKILL; who is not blamed goes back to the queue at no cost."""
        with self._lock:
            life = self._life
            if life is None or not (blamed & life.listeners.keys()):
                return  # that engine has died already
            life.death = EngineDied(reason, blamed)
        log.warning("engine_killed", reason=reason)
        life.process.kill()

    def forget(self, request_id: str) -> None:
        with self._lock:
            if self._life is not None:
                self._life.listeners.pop(request_id, None)
                self._life.models.pop(request_id, None)

    # ------------------------------------------------------------ for the heartbeat

    def state(self) -> str:
        with self._lock:
            if self._life is not None and self._life.ready is not None:
                return "ready"
            return "restarting" if self.restarts else "starting"

    def facts(self) -> Facts:
        """What the newest reports told: device, versions, warm models, memory."""
        with self._lock:
            ready = self._last
            pulse = self._life.pulse if self._life else None
        device = ready.device if ready else None
        told = {
            "type": device.type if device else None,
            "name": device.name if device else None,
            "memory_total_mib": device.memory_total_mib if device else None,
            "memory_used_mib": pulse.memory_used_mib if pulse else None,
        }
        return Facts(
            device=told | telemetry.read(),
            warm_models=[{"name": w.name, "memory_mib": w.memory_mib} for w in pulse.warm] if pulse else [],
            versions=ready.versions if ready else {},
        )

    # ------------------------------------------------------------ threads of the engine process

    def _spawn(self) -> None:
        now = time.monotonic()
        life: _Life

        def on_report(report: Report) -> None:
            self._on_report(life, report)

        def on_exit(code: int) -> None:
            self._on_exit(life, code)

        process = EngineProcess(on_report, on_exit, self._env)
        life = _Life(process, Watchdog(self._stall_seconds, SILENCE_SECONDS, now), now)
        with self._lock:
            self._life = life
        process.start()
        if self._stopping.is_set():  # stop() may have looked before we were there
            process.stop(0.0)

    def _on_report(self, life: _Life, report: Report) -> None:
        match report:
            case Ready():
                log.info("engine_ready", pid=report.pid, device=report.device.name)
                with self._changed:
                    life.ready = self._last = report
                    self._changed.notify_all()
            case Pulse():
                with self._lock:
                    life.pulse = report
                    life.watchdog.pulse(report, time.monotonic())
            case PhaseChanged() | Progress() | Finished():
                with self._lock:
                    listener = life.listeners.get(report.request_id)
                if listener is not None:
                    listener(report)

    def _on_exit(self, life: _Life, code: int) -> None:
        lived = time.monotonic() - life.started_at
        with self._changed:
            self._life = None
            death = life.death or EngineDied(f"The engine process ended with status {code}.")
            listeners = list(life.listeners.values())
            self.restarts += not self._stopping.is_set()
        for listener in listeners:
            listener(death)
        if self._stopping.is_set():
            return
        log.warning("engine_died", status=code, requests=len(listeners), reason=death.reason)
        if lived < QUICK_DEATH and life.ready is None:
            self._stopping.wait(min(BACKOFF_MAX, 0.5 * 2 ** min(self.restarts, 5)))
        if not self._stopping.is_set():
            self._spawn()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_INTERVAL):
            with self._lock:
                life = self._life
                stall = life.watchdog.verdict(time.monotonic()) if life else None
                if life is None or stall is None or life.death is not None:
                    continue
                life.death = EngineDied(f"The engine was killed: {stall}.", self._stalled(life))
            log.warning("engine_stalled", reason=stall)
            life.process.kill()

    def _stalled(self, life: _Life) -> frozenset[str] | None:
        """The requests of the models that stand still; everybody's, if the whole engine is silent."""
        stalled = {label.rpartition("#")[0] for label in life.watchdog.stalled(time.monotonic())}
        return frozenset(r for r, model in life.models.items() if model in stalled) if stalled else None
