"""One loaded model and its thread: load, then schedule → run → postprocess until it is closed. Made by the loop.

Owns the executions of its model and finds the guilty one after an error; knows nothing of other models.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from gpu_worker.engine import admission, failures, loading
from gpu_worker.engine.device import Device, release_cached_memory
from gpu_worker.engine.model_cache import Entry, ModelCache
from gpu_worker.engine.outbox import Outbox
from gpu_worker.engine.protocol import Cancelled, LanePulse, ModelSpec, Outcome, PhaseChanged, Progress
from gpu_worker.engine.relief import EVICT_IDLE, Ladder
from gpu_worker.runners.base import Execution, Runner, Stopped

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0  # seconds that an idle lane may take to drop its model before its memory is taken for free


class Lane:
    """`add`, `cancel`, `close` and `pulse` may be called from any thread; everything else is the lane's own thread."""

    def __init__(
        self, label: str, spec: ModelSpec, entry: Entry[Lane], cache: ModelCache[Lane], outbox: Outbox, device: Device
    ) -> None:
        self.label = label
        self._spec = spec
        self._entry = entry
        self._cache = cache
        self._outbox = outbox
        self._device = device
        self._changed = threading.Condition()  # guards what stands below, up to the steps
        self._inbox: deque[Execution] = deque()
        self._running: list[Execution] = []
        self._closed = False
        self._news = False  # since the last schedule: an arrival, a cancel or the close
        self._steps = 0
        self._ready_at: float | None = None
        self._adapter: tuple[str, str] | None = None  # that is switched on
        self._adapted_at: dict[tuple[str, str] | None, float] = {}  # when each was loaded
        self._is_adapting = False
        self._settled = threading.Event()  # the model is loaded, or will not be
        self._runner: Runner | None = None  # of the lane's thread, while the model is loaded
        self._thread = threading.Thread(target=self._main, name=f"lane-{label}", daemon=True)

    # ------------------------------------------------------------ from other threads

    def start(self) -> None:
        self._thread.start()

    def add(self, execution: Execution) -> bool:
        """False if the lane has been closed meanwhile: ask the cache for a new one."""
        with self._changed:
            if self._closed:
                return False
            if self._ready_at is None:
                self._outbox.send(PhaseChanged(execution.request.request_id, "loading_model"))
            self._inbox.append(execution)
            self._tell()
            return True

    def cancel(self, request_id: str) -> None:
        """Who still waits ends here and now, even if the lane is loading or hangs; who runs is stopped by the lane."""
        with self._changed:
            waiting = next((e for e in self._inbox if e.request.request_id == request_id), None)
            if waiting is not None:
                self._inbox.remove(waiting)
            for execution in self._running:
                execution.cancelled |= execution.request.request_id == request_id
            self._tell()
        if waiting is not None:
            self._finish(waiting, Cancelled())

    def wait_until_loaded(self) -> None:
        """Or until the load has come to nothing."""
        self._settled.wait()

    def close(self) -> None:
        """Only for an idle lane: returns when its model is dropped."""
        with self._changed:
            self._closed = True
            self._tell()
        self._thread.join(CLOSE_TIMEOUT)

    def pulse(self) -> LanePulse:
        with self._changed:
            active = len(self._inbox) + len(self._running)
            return LanePulse(self.label, self._steps, active, exempt=self._ready_at is None or self._is_adapting)

    def _tell(self) -> None:
        self._news = True
        self._changed.notify_all()

    # ------------------------------------------------------------ Control, for the runner

    def progress(
        self, execution: Execution, step: int, total_steps: int, text_delta: str = "", preview: bytes = b""
    ) -> None:
        self._steps += 1
        self._outbox.progress(Progress(execution.request.request_id, step, total_steps, text_delta, preview))

    def checkpoint(self, execution: Execution, step: int, total_steps: int, text_delta: str = "") -> None:
        self.progress(execution, step, total_steps, text_delta)
        self.tick(execution)

    def tick(self, execution: Execution) -> None:
        self._steps += 1
        if execution.cancelled:
            raise Stopped(execution)

    def ended(self, execution: Execution) -> None:
        self._leave(execution)

    def rest(self, seconds: float) -> None:
        with self._changed:
            if not self._news and seconds > 0:
                self._changed.wait(seconds)

    # ------------------------------------------------------------ the lane's thread

    def _main(self) -> None:
        runner = self._runner = self._load()
        self._settled.set()
        if runner is None:
            return
        self._ladder = Ladder(runner, self, self._cache.evict_idle)
        while self._wait_for_work():
            self._gather(runner)
            batch = self._schedule(runner)
            if batch:
                self._run(runner, batch)
            self._postprocess()
            self._steps += 1
        runner.close()
        del runner, self._runner, self._ladder
        release_cached_memory()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._inbox or self._running or self._closed):
                self._changed.wait()
            return not self._closed

    def _gather(self, runner: Runner) -> None:
        """Where nobody can join a batch that runs, wait a moment for others; whoever waited already waits no more."""
        wait = admission.batch_wait(runner, self._spec)
        with self._changed:
            while self._inbox and not self._running and not self._closed:
                first = self._inbox[0]
                left = first.submitted_at + wait - time.monotonic()
                if left <= 0 or len(self._inbox) >= admission.limit(runner, self._spec, first):
                    return
                self._changed.wait(left)

    def _schedule(self, runner: Runner) -> list[Execution]:
        """Drop who was cancelled, take in who waits, and say who advances by one step."""
        with self._changed:
            self._news = False
            arrivals = admission.choose(self._running, self._inbox, runner, self._spec, self._ladder.most())
            for execution in arrivals:
                self._inbox.remove(execution)
            self._running += arrivals
        self._adapt(runner, arrivals)
        for execution in arrivals:
            if execution.outcome is None:
                self._begin(runner, execution)
        for execution in self._running:
            if execution.cancelled and execution.outcome is None:
                execution.outcome = runner.cancelled(execution)
        return [execution for execution in self._running if execution.outcome is None]

    def _begin(self, runner: Runner, execution: Execution) -> None:
        execution.began_at = time.monotonic()
        ready_at = max(self._ready_at or 0.0, self._adapted_at.get(admission.adapted(execution), 0.0))
        waited = max(0.0, ready_at - execution.submitted_at)
        self._outbox.send(PhaseChanged(execution.request.request_id, "inference", model_load_seconds=waited))
        try:
            runner.begin(execution)
        except Exception as error:  # noqa: BLE001  whatever a model's library raises ends this request and no other
            execution.outcome = failures.of_request(error)

    def _run(self, runner: Runner, batch: Sequence[Execution]) -> None:
        try:
            runner.run(batch, self)
        except Stopped as stop:
            stop.execution.outcome = runner.cancelled(stop.execution)
        except Exception as error:  # noqa: BLE001  a library's error must not end the lane; who is guilty is found below
            self._ladder.rescue(batch, error)

    def _postprocess(self) -> None:
        for execution in [execution for execution in self._running if execution.outcome is not None]:
            self._leave(execution)

    def _leave(self, execution: Execution) -> None:
        assert self._runner is not None
        assert execution.outcome is not None
        with self._changed:
            self._running.remove(execution)
        self._runner.end(execution)
        self._finish(execution, execution.outcome)

    def _finish(self, execution: Execution, outcome: Outcome) -> None:
        if execution.began_at is not None:
            outcome = replace(outcome, inference_seconds=time.monotonic() - execution.began_at)
        if execution.relief:
            outcome = replace(outcome, relief=tuple(execution.relief))
        self._outbox.finish(execution.request.request_id, outcome)
        self._cache.unpin(self._entry)

    # ------------------------------------------------------------ loading

    def _load(self) -> Runner | None:
        """The runner, or None if the load failed or nobody waits for it any more; then the lane is gone."""
        while not self._closed:
            try:
                loaded = loading.load(self._spec, self._device, self._make_room, self._relieve)
            except Exception as error:  # noqa: BLE001  whatever the model's library says goes to all who wait
                self._give_up(error)
                return None
            if loaded is not None:
                runner, memory_mib = loaded
                self._cache.loaded(self._entry, memory_mib)
                self._bare_mib, self._ready_at = memory_mib, time.monotonic()
                return runner
            with self._changed:  # somebody may have come just now
                self._closed = not self._inbox
        self._cache.forget(self._entry)
        return None

    def _give_up(self, error: Exception) -> None:
        """The load failed: all who wait fail with its reason, and who comes later gets a new lane."""
        log.warning("model %s was not loaded: %s", self._spec.name, failures.reason(error))
        self._cache.forget(self._entry)
        with self._changed:
            self._closed = True
            waiting, self._inbox = list(self._inbox), deque()
        for execution in waiting:
            self._finish(execution, failures.of_load(self._spec, error))
        traceback.clear_frames(error.__traceback__)
        release_cached_memory()

    def _adapt(self, runner: Runner, arrivals: Sequence[Execution]) -> None:
        """All of them want the same adapter, and nobody runs with another."""
        if not arrivals or admission.adapted(arrivals[0]) == self._adapter:
            return
        wanted, spec, before = admission.adapted(arrivals[0]), arrivals[0].request.model, set(self._entry.adapters)
        self._is_adapting = True
        try:
            adapters = loading.adapt(runner, spec, self._device, lambda mib: self._widen(arrivals, mib), self._relieve)
        except Exception as error:  # noqa: BLE001  whatever the library says goes to those who want this adapter
            self._cache.adapted(self._entry, self._bare_mib, self._entry.adapters)  # what was reserved for it
            for execution in arrivals:
                execution.outcome = failures.of_load(spec, error)
            return
        finally:
            self._is_adapting = False
        self._adapter = wanted
        self._cache.adapted(self._entry, self._bare_mib, adapters)
        if spec.adapter and spec.name not in before:
            self._adapted_at[wanted] = time.monotonic()

    def _widen(self, waiting: Sequence[Execution], memory_mib: int) -> None:
        """Idle models go for an adapter. Models at work are not waited for, or two that want one could wait for each
        other: so little comes out of the share that is left for activations.
        """
        for execution in waiting:
            self._outbox.send(PhaseChanged(execution.request.request_id, "loading_model"))
        self._cache.reserve(self._entry, self._entry.memory_mib + memory_mib, abandoned=lambda: True)

    def _make_room(self, memory_mib: int) -> bool:
        return self._cache.reserve(self._entry, memory_mib, self._abandoned)

    def _abandoned(self) -> bool:
        with self._changed:
            return not self._inbox

    def _relieve(self, error: Exception) -> bool:
        """True if a load failed for want of memory; idle models are gone then."""
        if not failures.wants_memory(error):
            return False
        self._cache.evict_idle()
        release_cached_memory()
        with self._changed:
            for execution in (*self._inbox, *self._running):
                execution.relief.append(EVICT_IDLE)
        return True
