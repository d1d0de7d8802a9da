"""Which failures are tried again, and when. Pure; called by `transitions` when an attempt ends badly.

Only infrastructure failures are retried: bad input fails the same way on every worker.
"""

from __future__ import annotations

import random
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


RETRYABLE = frozenset(
    {
        FailureCode.CUDA_OUT_OF_MEMORY,
        FailureCode.WORKER_LOST,
        FailureCode.ENGINE_CRASHED,
        FailureCode.ARTIFACT_STORE_FAILED,
        FailureCode.DOWNLOAD_FAILED,
        FailureCode.INTERNAL_ERROR,
    }
)


def may_retry(code: str, counted_attempts: int, max_attempts: int) -> bool:
    """`counted_attempts` leaves out attempts that were given back by a stopping worker."""
    return code in RETRYABLE and counted_attempts < max_attempts


def backoff_seconds(counted_attempts: int) -> float:
    """Exponential, with jitter on its upper half, so that the tasks of a lost worker do not return as one wave."""
    ceiling = min(
        settings.RETRY_BACKOFF_SECONDS * 2 ** max(0, counted_attempts - 1), settings.RETRY_BACKOFF_MAX_SECONDS
    )
    return float(ceiling * random.uniform(0.5, 1.0))
