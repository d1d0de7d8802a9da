"""What check_orchestration says of a task that does not end: the reason that the workers' own words give."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.check import advice
from orchestrator.check.diagnosis import why_not_ended
from tasks_app.retries import FailureCode


def task(status: str = "pending", **values: Any) -> dict[str, Any]:
    base = {"task_type": "llm", "model": "m", "phase": None, "progress": None, "error": None, "attempt": 0}
    return {**base, "worker_id": None, "status": status, **values}


def worker(**values: Any) -> dict[str, Any]:
    base = {"name": "w1", "status": "online", "state": "active", "stopping": False, "slots": 2, "total_load": 0}
    return {**base, "kinds": ["llm"], "allowed_models": [], "quarantine": None, **values}


@pytest.mark.parametrize(
    ("workers", "says"),
    [
        ([], "no worker is online"),
        ([worker(status="lost")], "no worker is online"),
        ([worker(state="paused"), worker(stopping=True)], "paused, draining, stopping or quarantined"),
        ([worker(quarantine={"reason": "wrong", "since": "…"})], "paused, draining, stopping or quarantined"),
        ([worker(kinds=["tts"])], "no capable worker for llm with model m"),
        ([worker(allowed_models=["other"])], "no capable worker for llm with model m"),
        ([worker(total_load=2), worker(kinds=["tts"])], "all 2 slots are busy"),
        ([worker()], "although w1 has a free slot. Because."),
    ],
)
def test_a_task_stuck_in_pending_is_told_why(workers: list[dict[str, Any]], says: str) -> None:
    trouble = why_not_ended(task(), leader=True, workers=workers, waited=3, told="Because.")
    assert says in str(trouble)
    assert "3 s" in str(trouble)
    assert trouble.advice


def test_without_a_scheduler_nothing_else_is_blamed() -> None:
    trouble = why_not_ended(task(), leader=False, workers=[], waited=3)
    assert "no scheduler leads" in str(trouble)
    assert trouble.advice == advice.START_SCHEDULER


def test_a_task_that_waits_for_its_next_try_is_not_blamed_on_the_workers() -> None:
    trouble = why_not_ended(task(attempt=2), leader=True, workers=[worker()], waited=3)
    assert "next try after attempt 2" in str(trouble)


@pytest.mark.parametrize(
    ("stuck", "says"),
    [
        (task("dispatched", worker_id="w1"), "given to w1"),
        (task("running", worker_id="w1", phase="loading_model"), "still loading m"),
        (task("running", worker_id="w1", phase="inference", progress={"fraction": 0.4}), "40% done"),
        (task("cancelling", worker_id="w1", phase="inference"), "still cancelling on w1"),
    ],
)
def test_a_task_that_was_placed_is_told_where_it_stands(stuck: dict[str, Any], says: str) -> None:
    trouble = why_not_ended(stuck, leader=True, workers=[worker()], waited=3)
    assert says in str(trouble)
    assert trouble.advice


def test_every_failure_code_has_its_advice() -> None:
    assert set(FailureCode) == set(advice.FAILURES)
