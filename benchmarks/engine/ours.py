"""Baton's own: a lane with its runner, fed as the engine's loop does it, in this process."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.made import Request
from benchmarks.engine.peers import Clock, Run
from gpu_worker.engine.device import Device
from gpu_worker.engine.lane import Lane
from gpu_worker.engine.model_cache import Entry, ModelCache
from gpu_worker.engine.outbox import Outbox
from gpu_worker.engine.protocol import Completed, Finished, ModelSpec, Progress, Report, Submit
from gpu_worker.runners.base import Execution

PATIENCE = 600.0  # seconds for one answer
GREEDY = {"temperature": 0.0}


class Baton:
    """`close` when done: a lane's thread must not outlive the process."""

    def __init__(self, folder: Path, device: Device, dtype: str) -> None:
        self._spec = ModelSpec("made", "llm", "transformers", str(folder), dtype=dtype)
        self._cache: ModelCache[Lane] = ModelCache(device.budget_mib)
        self._entry: Entry[Lane] = Entry("made", None, last_used=time.monotonic())
        outbox = Outbox(self._receive)
        self._entry.lane = Lane("made#1", self._spec, self._entry, self._cache, outbox, device)
        self._cache.pin("made", lambda: self._entry)
        self._cache.unpin(self._entry)
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._began: dict[str, float] = {}
        self._firsts: dict[str, float] = {}
        self._ends: dict[str, Finished] = {}
        self._entry.lane.start()

    def close(self) -> None:
        self._cache.evict_idle()

    def answers(self, requests: Sequence[Request], parameters: dict[str, Any] | None = None) -> Run:
        clock = Clock()
        ids = [self.submit(request, parameters) for request in requests]
        texts = [self.text(request_id) for request_id in ids]
        return clock.run(texts, [self._firsts[id_] for id_ in ids])

    def submit(self, request: Request, parameters: dict[str, Any] | None = None) -> str:
        request_id = f"request-{next(self._numbers)}"
        asked = {"max_new_tokens": request.new_tokens, **(GREEDY if parameters is None else parameters)}
        submit = Submit(request_id, self._spec, {"prompt": request.prompt}, asked, directory="/nonexistent")
        self._began[request_id] = time.perf_counter()
        self._cache.pin("made", lambda: self._entry)
        assert self._entry.lane.add(Execution(submit))
        return request_id

    def text(self, request_id: str) -> str:
        self._wait(lambda: request_id in self._ends)
        outcome = self._ends[request_id].outcome
        assert isinstance(outcome, Completed), outcome
        return str(outcome.result["text"])

    def first(self, request_id: str) -> float:
        """Seconds until its first token was told."""
        self._wait(lambda: request_id in self._firsts)
        return self._firsts[request_id]

    def cancel(self, request_id: str) -> None:
        self._entry.lane.cancel(request_id)
        self._wait(lambda: request_id in self._ends)

    def _wait(self, true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(true, PATIENCE), "no answer"

    def _receive(self, report: Report) -> None:
        with self._changed:
            if isinstance(report, Progress) and report.request_id not in self._firsts:
                self._firsts[report.request_id] = time.perf_counter() - self._began[report.request_id]
            if isinstance(report, Finished):
                self._ends[report.request_id] = report
            self._changed.notify_all()
