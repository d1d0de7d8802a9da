"""The engine: reads commands from the pipe, gives each to the lane of its model, and beats. Started by __main__."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection

from gpu_worker.engine import device as devices
from gpu_worker.engine import preload
from gpu_worker.engine.lane import Lane
from gpu_worker.engine.model_cache import Entry, ModelCache
from gpu_worker.engine.outbox import PROGRESS_INTERVAL, Outbox
from gpu_worker.engine.protocol import (
    PULSE_INTERVAL,
    Cancel,
    Checked,
    Command,
    Load,
    ModelSpec,
    Pulse,
    Ready,
    Report,
    Submit,
)
from gpu_worker.engine.self_check import SelfCheck
from gpu_worker.runners import registry
from gpu_worker.runners.base import Execution

log = logging.getLogger(__name__)


class Engine:
    """`serve` returns when the worker closes its end of the pipe. All other threads are daemons."""

    def __init__(self, connection: Connection, device: devices.Device) -> None:
        self._connection = connection
        self._device = device
        self._outbox = Outbox(self._send)
        self._cache: ModelCache[Lane] = ModelCache(device.budget_mib)
        self._self_check = SelfCheck(device, self._is_busy, self._outbox.send)
        self._lanes_made = 0

    def serve(self) -> None:
        self._self_check.start()
        self._outbox.send(Ready(os.getpid(), self._device.info, devices.library_versions()))
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()
        preload.start_in_background(self._device.threads)
        while True:
            try:
                command: Command = self._connection.recv()
            except (EOFError, OSError):  # the worker closed the pipe, or died
                break
            self._obey(command)
        self._self_check.stop()

    def _obey(self, command: Command) -> None:
        match command:
            case Submit():
                self._submit(command)
            case Cancel(request_id):
                for lane in self._cache.lanes():
                    lane.cancel(request_id)
            case Load(models):
                threading.Thread(target=self._warm_up, args=(models,), name="warm-up", daemon=True).start()

    def _submit(self, request: Submit) -> None:
        spec = registry.model_of(request)
        execution = Execution(request)
        while True:  # a lane that closed between pin and add is no longer in the cache: the next pin makes a new one
            entry = self._pin(spec)
            if entry.lane.add(execution):
                return
            self._cache.unpin(entry)

    def _warm_up(self, models: Sequence[ModelSpec]) -> None:
        """One after the other, and none of them goes for the next: what does not fit is left for its first request."""
        entries = []
        for spec in models:
            entries.append(self._pin(spec))
            entries[-1].lane.wait_until_loaded()
        for entry in entries:
            self._cache.unpin(entry)

    def _pin(self, spec: ModelSpec) -> Entry[Lane]:
        entry = self._cache.pin(_key(spec), lambda: self._entry(spec))
        if not spec.adapter:  # as the catalogue says now
            entry.keep_alive_seconds, entry.pinned = spec.keep_alive_seconds, spec.pinned
        return entry

    def _entry(self, spec: ModelSpec) -> Entry[Lane]:
        self._lanes_made += 1
        entry: Entry[Lane] = Entry(
            spec.lane_name, spec.keep_alive_seconds, time.monotonic(), spec.task_type, spec.pinned
        )
        entry.lane = Lane(f"{spec.lane_name}#{self._lanes_made}", spec, entry, self._cache, self._outbox, self._device)
        entry.lane.start()
        return entry

    def _beat(self) -> None:
        """Pulses from a thread of its own, so they also come while a lane hangs; in between, thinned progress."""
        next_pulse = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_pulse:
                next_pulse = now + PULSE_INTERVAL
                self._cache.expire()
                self._outbox.send(self._pulse())
                if self._self_check.hangs():
                    self._outbox.send(Checked("the device does not answer", routine=True))
            self._outbox.flush_due()
            time.sleep(min(PROGRESS_INTERVAL, max(0.0, next_pulse - time.monotonic())))

    def _pulse(self) -> Pulse:
        lanes = tuple(lane.pulse() for lane in self._cache.lanes())
        return Pulse(lanes, self._cache.warm(), devices.memory_used_mib(self._device))

    def _is_busy(self) -> bool:
        return any(lane.pulse().active for lane in self._cache.lanes())

    def _send(self, report: Report) -> None:
        try:
            self._connection.send(report)
        except OSError:  # nobody is left to report to
            os._exit(1)


def _key(spec: ModelSpec) -> str:
    """Two requests share a loaded model if all that decides what is loaded is equal."""
    identity = {**asdict(spec), "name": spec.lane_name}
    for mere_wish in ("keep_alive_seconds", "pinned", "base", "adapter"):
        del identity[mere_wish]
    if registry.needs_libraries(spec):  # otherwise memory is all that there is to a model
        del identity["memory_mib"]
    return json.dumps(identity, sort_keys=True, default=str)
