"""Which failures are tried again, after how long, and where."""

from __future__ import annotations

import pytest

from tasks_app import retries
from tasks_app.retries import FailureCode


@pytest.mark.parametrize("code", [code for code in FailureCode if code not in retries.RETRYABLE])
def test_what_would_end_the_same_way_is_not_tried_again(code: FailureCode) -> None:
    assert retries.after(code, 1, 10) is None


@pytest.mark.parametrize("code", sorted(retries.RETRYABLE))
def test_an_infrastructure_failure_is_tried_again_until_the_attempts_are_used_up(code: FailureCode) -> None:
    assert retries.after(code, 1, 2)
    assert retries.after(code, 2, 2) is None


def test_a_mistake_in_code_is_tried_once_more_and_no_further() -> None:
    assert retries.after(FailureCode.INTERNAL_ERROR, 1, 10)
    assert retries.after(FailureCode.INTERNAL_ERROR, 2, 10) is None


def test_the_pause_doubles_has_jitter_and_an_end(settings: object) -> None:
    settings.RETRY_BACKOFF_SECONDS, settings.RETRY_BACKOFF_MAX_SECONDS = 1.0, 60.0  # type: ignore[attr-defined]
    for counted, ceiling in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (50, 60)]:
        pauses = {retries.backoff_seconds(counted) for _ in range(50)}
        assert ceiling / 2 <= min(pauses) < max(pauses) <= ceiling


def test_an_outage_gets_a_longer_pause_and_blames_no_worker(settings: object) -> None:
    settings.RETRY_BACKOFF_SECONDS, settings.RETRY_BACKOFF_MAX_SECONDS = 1.0, 60.0  # type: ignore[attr-defined]
    outage, crash = retries.after("download_failed", 1, 3), retries.after("engine_crashed", 1, 3)
    assert outage
    assert crash
    assert (outage.elsewhere, crash.elsewhere) == (False, True)
    assert outage.delay > crash.delay
