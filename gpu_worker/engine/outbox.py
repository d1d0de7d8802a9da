"""The engine's way out: one report at a time on the pipe, progress thinned, text never lost. Called by all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from gpu_worker.engine.protocol import Finished, Outcome, Progress, Report

PROGRESS_INTERVAL = 0.1  # seconds between two Progress of one request; the API promises no more than 10/s
TEXT_INTERVAL = 0.05  # the same with text, which people read as it comes


class Outbox:
    """Sends in the order of the calls. `send` may block: a worker that does not read slows its engine down."""

    def __init__(self, send: Callable[[Report], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._lock = threading.Lock()
        self._sent_at: dict[str, float] = {}  # by request, since its first progress
        self._held: dict[str, Progress] = {}  # what came too soon after the last one

    def send(self, report: Report) -> None:
        with self._lock:
            self._send(report)

    def progress(self, progress: Progress) -> None:
        """Sent now if the last one of this request is long enough ago, else joined with what is held."""
        with self._lock:
            held = self._held.get(progress.request_id)
            if held is not None:
                text, preview = held.text_delta + progress.text_delta, progress.preview or held.preview
                progress = replace(progress, text_delta=text, preview=preview)
            self._held[progress.request_id] = progress
            self._flush(progress.request_id, self._clock())

    def finish(self, request_id: str, outcome: Outcome) -> None:
        """What is still held goes out first, so the deltas always make up the whole text."""
        with self._lock:
            held = self._held.pop(request_id, None)
            if held is not None:
                self._send(held)
            self._sent_at.pop(request_id, None)
            self._send(Finished(request_id, outcome))

    def flush_due(self) -> None:
        """Called by the pulse, so a held text does not wait for a slow next step."""
        with self._lock:
            now = self._clock()
            for request_id in list(self._held):
                self._flush(request_id, now)

    def _flush(self, request_id: str, now: float) -> None:
        sent_at = self._sent_at.get(request_id)
        interval = TEXT_INTERVAL if self._held[request_id].text_delta else PROGRESS_INTERVAL
        if sent_at is None or now - sent_at >= interval:
            self._sent_at[request_id] = now
            self._send(self._held.pop(request_id))
