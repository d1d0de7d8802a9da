"""Where an outcome sends a running task. Pure; whether it really goes there is decided by the guards of `finish`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks_app import retries
from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Failed, Outcome, Returned
from tasks_app.retries import FailureCode, Retry
from tasks_app.states import Status
from tasks_app.transitions.placing import Claimed


@dataclass(frozen=True, slots=True)
class Verdict:
    """`error` is what went wrong, also if the task is tried again. For a task that goes back to the queue: `again`, and
    whether this attempt was `free`.
    """

    target: Status
    error: Failed | None = None
    again: Retry = field(default_factory=lambda: Retry(0.0))
    free: bool = False


def verdict_on(claimed: Claimed, outcome: Outcome) -> Verdict:
    match outcome:
        case Completed():
            return Verdict(Status.COMPLETED)
        case Cancelled():
            return Verdict(Status.CANCELLED)
        case Returned(unable=True):  # elsewhere at once; where there is no elsewhere, less and less often
            return Verdict(Status.PENDING, again=Retry(retries.backoff_seconds(claimed.number)), free=True)
        case Returned():
            return Verdict(Status.PENDING, free=True)
        case EngineDeath():
            return _after_death(claimed, outcome)
        case Failed():
            return _after_failure(claimed, outcome)


def _after_failure(claimed: Claimed, failure: Failed) -> Verdict:
    again = retries.after(failure.code, claimed.counted_attempts, claimed.max_attempts)
    return Verdict(Status.PENDING, failure, again) if again else Verdict(Status.FAILED, failure)


def _after_death(claimed: Claimed, death: EngineDeath) -> Verdict:
    """Where several were there nobody knows who it was, so it costs none of them an attempt. From now on each runs
    alone, and whoever does it again has done it the first time.
    """
    crash = Failed(FailureCode.ENGINE_CRASHED, death.reason)
    if claimed.engine_deaths + 1 >= retries.POISON_DEATHS:
        message = f"{death.reason} It was the second engine that died under this task; it does not get a third."
        return Verdict(Status.FAILED, Failed(FailureCode.POISONED, message))
    if not death.alone:
        return Verdict(Status.PENDING, crash, Retry(retries.backoff_seconds(claimed.counted_attempts)), free=True)
    return _after_failure(claimed, crash)
