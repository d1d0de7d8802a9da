"""Keeps one engine process alive for the worker: starts it, watches it, kills it when it hangs, starts it again.

Every running attempt registers a listener; it hears the reports on its request, or that its engine died.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import structlog

from gpu_worker import telemetry
from gpu_worker.engine.process import EngineGone, EngineProcess
from gpu_worker.engine.protocol import (
    Checked,
    Finished,
    ModelSpec,
    PhaseChanged,
    Progress,
    Pulse,
    Ready,
    Report,
    Submit,
)
from gpu_worker.engine.watchdog import Watchdog
from gpu_worker.engine_face import EngineDied, Facts, Listener
from gpu_worker.soundness import Soundness, Verdict

log = structlog.get_logger(__name__)
SILENCE_SECONDS = 60.0  # without any pulse, the first included: starting Python on a busy host takes a while
WATCH_INTERVAL = 0.25  # seconds
QUICK_DEATH = 5.0  # seconds; an engine that lived shorter is started again with back-off
BACKOFF_MAX = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class _Newcomer:
    request: Submit
    listener: Listener
    timeout: float
    wanted: Callable[[], bool]
    alone: bool


@dataclass(slots=True)
class _Life:
    """One engine process and what is known of it."""

    process: EngineProcess
    watchdog: Watchdog
    started_at: float
    listeners: dict[str, Listener] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # request id → model
    loner: str | None = None  # the request that has the engine to itself
    ready: Ready | None = None
    pulse: Pulse | None = None
    death: EngineDied | None = None  # why it was killed, if we did it


class EngineKeeper:
    def __init__(
        self,
        stall_seconds: float,
        env: dict[str, str] | None = None,
        to_load: Callable[[], Sequence[ModelSpec]] = lambda: (),
    ) -> None:
        """`to_load` is asked for each new engine which models it shall load before anybody asks for them."""
        self._stall_seconds = stall_seconds
        self._env = env or {}
        self._to_load = to_load
        self._on_quarantine: Callable[[], None] = lambda: None
        self._soundness = Soundness()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._life: _Life | None = None
        self._stopping = threading.Event()
        self._last: Ready | None = None
        self._loners_wait = 0  # who must be alone; nobody overtakes them, or they would never be
        self._started = False
        self.restarts = 0

    def start(self, on_quarantine: Callable[[], None] = lambda: None) -> None:
        self._started, self._on_quarantine = True, on_quarantine
        self._spawn()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self, timeout: float = 3.0) -> None:
        self._stopping.set()
        with self._lock:
            life = self._life
        if life is not None:
            life.process.stop(timeout)

    # ------------------------------------------------------------ from the attempts

    def submit(
        self, request: Submit, listener: Listener, timeout: float, wanted: Callable[[], bool], alone: bool = False
    ) -> None:
        """Hand a request to the engine, waiting for one that is ready as long as it is `wanted`.

        `alone`: for itself, once everybody else there has ended. Raises EngineGone after `timeout` seconds without an
        engine that is ready, or when it is no longer wanted; nothing was submitted then.
        """
        newcomer = _Newcomer(request, listener, timeout, wanted, alone)
        tried: _Life | None = None
        while True:
            life = tried = self._let_in(newcomer, other_than=tried)
            try:
                return life.process.submit(request)
            except EngineGone:
                with self._lock:
                    if self._life is not life:
                        return  # its death has been told to all listeners, this one too
                    self.forget(request.request_id)

    def _let_in(self, newcomer: _Newcomer, other_than: _Life | None) -> _Life:
        """From now on its listener hears what becomes of the engine that is returned."""
        request_id = newcomer.request.request_id
        with self._changed:
            self._loners_wait += newcomer.alone
            try:
                life = self._wait_for_room(newcomer, other_than)
            finally:
                self._loners_wait -= newcomer.alone
                self._changed.notify_all()
            life.listeners[request_id] = newcomer.listener
            life.models[request_id] = newcomer.request.model.lane_name
            life.loner = request_id if newcomer.alone else None
            return life

    def _wait_for_room(self, newcomer: _Newcomer, other_than: _Life | None) -> _Life:
        deadline = time.monotonic() + newcomer.timeout
        while True:
            life = self._life
            if life is not None and life.ready is not None and life is not other_than:
                deadline = time.monotonic() + newcomer.timeout  # it waits for the others there, not for an engine
                crowded = life.listeners if newcomer.alone else life.loner or self._loners_wait
                if not crowded:
                    return life
            if time.monotonic() >= deadline or not newcomer.wanted():
                raise EngineGone("no engine became ready in time")
            self._changed.wait(WATCH_INTERVAL)

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
        with self._changed:
            if self._life is not None:
                self._life.listeners.pop(request_id, None)
                self._life.models.pop(request_id, None)
                if self._life.loner == request_id:
                    self._life.loner = None
                self._changed.notify_all()

    # ------------------------------------------------------------ for the heartbeat

    @property
    def quarantine(self) -> str:
        """Why this device gets no work; empty if it may."""
        return self._soundness.quarantine

    def distrust(self, reason: str) -> None:
        """An earlier process was quarantined, and nobody has lifted it."""
        with self._lock:
            self._soundness.distrust(reason)

    def trust(self) -> None:
        """An operator says that it may work again."""
        with self._lock:
            self._soundness.trust()

    def state(self) -> str:
        with self._lock:
            if not self._started:
                return "off"
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
            warm_models=[asdict(warm) for warm in pulse.warm] if pulse else [],
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
            if self._stopping.is_set():  # stop() has been here, and would not end this one
                return
            process.start()
            self._life = life

    def _on_report(self, life: _Life, report: Report) -> None:
        match report:
            case Ready():
                log.info("engine_ready", pid=report.pid, device=report.device.name)
                with self._changed:
                    life.ready = self._last = report
                    self._changed.notify_all()
                threading.Thread(target=self._warm_up, args=(life,), name="warm-up", daemon=True).start()
            case Pulse():
                with self._lock:
                    life.pulse = report
                    life.watchdog.pulse(report, time.monotonic())
            case Checked():
                self._judge(life, report)
            case PhaseChanged() | Progress() | Finished():
                with self._lock:
                    listener = life.listeners.get(report.request_id)
                if listener is not None:
                    listener(report)

    def _warm_up(self, life: _Life) -> None:
        models = self._to_load()
        with suppress(EngineGone):  # the next one is asked for the same
            if models:
                life.process.load(models)

    def _judge(self, life: _Life, checked: Checked) -> None:
        with self._lock:
            before, verdict = self.quarantine, self._soundness.hear(checked)
        if checked.problem:
            log.error("self_check_failed", problem=checked.problem, verdict=verdict.name.lower())
        elif before and not self.quarantine:
            log.info("quarantine_over")
        if verdict is Verdict.RESTART:
            life.death = EngineDied(f"The engine failed its self-check: {checked.problem}.", frozenset())
            life.process.kill()
        if verdict is Verdict.QUARANTINE:
            self._on_quarantine()

    def _on_exit(self, life: _Life, code: int) -> None:
        lived = time.monotonic() - life.started_at
        with self._changed:
            self._life = None
            death = life.death or EngineDied(f"The engine process ended with status {code}.")
            suspects = life.listeners.keys() if death.blamed is None else death.blamed
            death = replace(death, alone=len(suspects) <= 1)
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
