"""One request on its way through the external pool, as far as anybody here knows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gpu_worker.engine.protocol import Completed, Failed, Finished, PhaseChanged, Submit
from gpu_worker.engine_face import Listener, Released
from gpu_worker.external.roster import Peer


@dataclass(slots=True)
class Flight:
    """Times are monotonic; None: not yet. Changed by the pool's own thread, but for the wishes."""

    request: Submit
    listener: Listener | None  # None: nobody waits for it any more
    sent_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    peer: Peer | None = None  # who runs it, as it was when that was learnt
    missing: int = 0  # times that this worker said it does not have it
    revoked_at: float | None = None
    stop_wanted: bool = False
    kill_wanted_at: float | None = None

    @property
    def request_id(self) -> str:
        return self.request.request_id

    def begin(self, peer: Peer) -> None:
        """It runs. Told once, however often it is seen."""
        if self.started_at is None:
            self.started_at, self.peer = time.monotonic(), peer
            if self.listener is not None:
                self.listener(PhaseChanged(self.request_id, "inference", 0.0))

    def end(self, outcome: Completed | Failed) -> None:
        listener, self.listener = self.listener, None
        if listener is not None:
            listener(Finished(self.request_id, outcome))

    def release(self, released: Released) -> None:
        listener, self.listener = self.listener, None
        if listener is not None:
            listener(released)

    def seconds(self) -> float:
        """In execution; 0 if it was over before anybody saw it begin."""
        return time.monotonic() - self.started_at if self.started_at is not None else 0.0
