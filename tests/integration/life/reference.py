"""What a task's row must say after each call, written down without a look at the product's SQL: states, fences, counts.

Times are what is left of them, in seconds; `step` lets some pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Failed, Outcome, Returned

FINAL = {"completed", "failed", "cancelled", "expired"}
TRIED_AGAIN = {"worker_lost": 99, "engine_crashed": 99, "download_failed": 99, "internal_error": 2}  # attempts at most


@dataclass
class Task:
    max_attempts: int
    deadline: float | None  # until it expires, if it still waits
    status: str = "pending"
    attempt: int = 0
    free: int = 0
    deaths: int = 0
    attempt_id: UUID | None = None
    token: UUID | None = None
    worker: str | None = None
    lease: float | None = None
    mode: str | None = None
    code: str | None = None
    events: list[str] = field(default_factory=lambda: ["task.created"])
    attempts: list[str | None] = field(default_factory=list)  # how each ended

    @property
    def is_held(self) -> bool:
        return self.status in ("running", "cancelling")

    def step(self, seconds: float) -> None:
        if self.deadline is not None:
            self.deadline -= seconds
        if self.lease is not None:
            self.lease -= seconds

    # ------------------------------------------------------------ calls; each tells whether it changed anything

    def dispatch(self, worker: str, attempt_id: UUID) -> bool:
        if self.status != "pending":
            return False
        self.status, self.worker, self.attempt_id = "dispatched", worker, attempt_id
        return self._log("task.dispatched")

    def take_back(self, attempt_id: UUID) -> bool:
        if self.status != "dispatched" or self.attempt_id != attempt_id:
            return False
        self.status, self.worker, self.attempt_id = "pending", None, None
        return self._log("task.requeued")

    def claim(self, worker: str, attempt_id: UUID, token: UUID, lease: float) -> bool:
        if self.is_held and (self.attempt_id, self.token) == (attempt_id, token):
            return True  # the reply was lost, and it asks again
        if self.status != "dispatched" or (self.worker, self.attempt_id) != (worker, attempt_id):
            return False
        self.status, self.token, self.lease = "running", token, lease
        self.attempt += 1
        self.attempts.append(None)
        return self._log("task.started")

    def renew(self, attempt_id: UUID, token: UUID, lease: float) -> bool:
        if not self.is_held or (self.attempt_id, self.token) != (attempt_id, token):
            return False
        self.lease = lease
        return True

    def cancel(self) -> bool:
        if self.status in ("pending", "dispatched"):
            self.mode = "dequeued"
            return self._end("cancelled")
        if self.status == "running":
            self.status = "cancelling"
            return self._log("task.cancelling")
        return False

    def expire(self) -> None:
        if self.status == "pending" and self.deadline is not None and self.deadline < 0:
            self._end("expired")

    def rescue(self) -> None:
        if self.lease is None or self.lease >= 0:
            return
        self.token = None
        if self.status == "cancelling":
            self.mode = "lost"
            self._close("cancelled")
            self._end("cancelled")
        else:
            self._close("lost")
            self._fail("worker_lost")

    def finish(self, attempt_id: UUID, token: UUID, outcome: Outcome) -> str | None:
        """The status that is told; None to who is no longer current."""
        if not self.is_held or (self.attempt_id, self.token) != (attempt_id, token):
            mine = self.token == token and self.lease is None
            return self.status if mine else None
        if isinstance(outcome, Cancelled) and self.status == "running":
            return None  # nobody has asked it to stop
        if isinstance(outcome, Completed):
            self._close("completed")
            self._end("completed")
        elif self.status == "cancelling":
            self.mode = _mode(outcome)
            self._close("cancelled")
            self._end("cancelled")
        else:
            self._close("returned" if isinstance(outcome, Returned) else "failed")
            self._go_on(outcome)
        self.deaths += isinstance(outcome, EngineDeath)
        return self.status

    # ------------------------------------------------------------ what follows

    def _go_on(self, outcome: Outcome) -> None:
        match outcome:
            case Returned():
                self.free += 1
                self._back()
            case EngineDeath() if self.deaths:
                self.code = "poisoned"
                self._end("failed")
            case EngineDeath(alone=False):
                self.free += 1
                self._back()
            case EngineDeath():
                self._fail("engine_crashed")
            case Failed(code=code):
                self._fail(code)

    def _fail(self, code: str) -> None:
        counted = self.attempt - self.free
        if counted < min(self.max_attempts, TRIED_AGAIN.get(code, 0)):
            self._back()
        else:
            self.code = code
            self._end("failed")

    def _back(self) -> None:
        self.status, self.worker, self.attempt_id, self.lease = "pending", None, None, None
        self._log("task.retrying")

    def _close(self, word: str) -> None:
        self.attempts[-1] = word

    def _end(self, status: str) -> bool:
        self.status, self.lease = status, None
        return self._log(f"task.{status}")

    def _log(self, event: str) -> bool:
        self.events.append(event)
        return True


def _mode(outcome: Outcome) -> str:
    if isinstance(outcome, Cancelled):
        return str(outcome.mode)
    return "lost" if isinstance(outcome, EngineDeath) else "cooperative"
