"""Which failures are tried again, when and where. Pure; called by `transitions` when an attempt ends badly.

Only infrastructure failures are retried: bad input fails the same way on every worker.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings


class FailureCode(StrEnum):
    INVALID_INPUT = "invalid_input"
    MODEL_LOAD_FAILED = "model_load_failed"
    CUDA_OUT_OF_MEMORY = "cuda_out_of_memory"
    WORKER_LOST = "worker_lost"
    ENGINE_CRASHED = "engine_crashed"
    EXECUTION_TIMEOUT = "execution_timeout"
    ARTIFACT_STORE_FAILED = "artifact_store_failed"
    DOWNLOAD_FAILED = "download_failed"
    POISONED = "poisoned"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Policy:
    """`pause`: the first one, as a multiple of RETRY_BACKOFF_SECONDS; it doubles with each attempt that counts.
    `elsewhere`: on another worker first. `attempts`: not more than so many, whatever the task allows.
    """

    pause: float = 1.0
    elsewhere: bool = True
    attempts: int | None = None


OUTAGE = Policy(pause=4.0, elsewhere=False)  # not the worker's fault, and not over in a second
POLICIES = {
    FailureCode.CUDA_OUT_OF_MEMORY: Policy(),
    FailureCode.WORKER_LOST: Policy(),
    FailureCode.ENGINE_CRASHED: Policy(),
    FailureCode.ARTIFACT_STORE_FAILED: OUTAGE,
    FailureCode.DOWNLOAD_FAILED: OUTAGE,
    FailureCode.INTERNAL_ERROR: Policy(attempts=2),  # mostly a mistake in code, which the second worker has too
}
RETRYABLE = frozenset(POLICIES)
POISON_DEATHS = 2  # engines that died under one task: it is kept away from a third


@dataclass(frozen=True, slots=True)
class Retry:
    """Back to the queue: not before `delay` seconds have passed, and `elsewhere` if any other worker can."""

    delay: float
    elsewhere: bool = True


def after(code: str, counted_attempts: int, max_attempts: int) -> Retry | None:
    """None: it has failed for good. `counted_attempts` leaves out those that cost nothing."""
    policy = POLICIES.get(FailureCode(code))
    if policy is None or counted_attempts >= min(max_attempts, policy.attempts or max_attempts):
        return None
    return Retry(backoff_seconds(counted_attempts, policy.pause), policy.elsewhere)


def backoff_seconds(counted_attempts: int, pause: float = 1.0) -> float:
    """Exponential, with jitter on its upper half, so that the tasks of a lost worker do not return as one wave."""
    first = settings.RETRY_BACKOFF_SECONDS * pause
    ceiling = min(first * 2 ** max(0, counted_attempts - 1), settings.RETRY_BACKOFF_MAX_SECONDS)
    return float(ceiling * random.uniform(0.5, 1.0))
