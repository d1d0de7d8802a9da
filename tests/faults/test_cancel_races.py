"""Cancels aimed at the very moment of a claim or a finish: whoever wins, the answer and the end agree.

FAULT_TIMINGS=1000 tries so many; everyday it is 100 of each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import pytest

from tests.faults.stack import FINAL, Stack, wait_until

TIMINGS = int(os.environ.get("FAULT_TIMINGS", "100"))
MOST = 20 * TIMINGS  # tries to see both sides win
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 2 * TIMINGS)]


@dataclass
class Aim:
    """Moves to where both sides win as often, however fast the machine is."""

    seconds: float
    random: Random

    def wait(self) -> None:
        time.sleep(self.seconds * self.random.uniform(0.6, 1.4))

    def was(self, *, early: bool) -> None:
        self.seconds *= 1.1 if early else 1 / 1.1


@dataclass(frozen=True)
class Race:
    task_id: str
    answer: int  # the HTTP status of the cancel
    said: str  # the status in it; of a refusal, what it calls itself
    end: str


def race(stack: Stack, task: str, aim: Aim) -> Race:
    aim.wait()
    answer = stack.api.patch(f"/tasks/{task}/cancel")
    seen = stack.get(task)
    wait_until(lambda: seen.update(stack.get(task)) or seen["status"] in FINAL, 30, f"{task} to end")
    said = answer.json()["error"]["code"] if answer.status_code == 409 else answer.json()["status"]
    return Race(task, answer.status_code, said, seen["status"])


def races(run: Callable[[int], Race], both: Callable[[list[Race]], bool]) -> list[Race]:
    """Four at a time, as many as the worker has slots; at least TIMINGS, and until both sides have won."""
    done: list[Race] = []
    with ThreadPoolExecutor(4) as pool:
        while len(done) < TIMINGS or not both(done):
            done += pool.map(run, range(len(done), len(done) + 20))
            assert len(done) < MOST, "one side always wins"
    return done


def test_a_cancel_meets_a_claim_and_the_task_is_never_started_or_started_and_then_cancelled(stack):
    aim = Aim(0.05, Random(1))

    def run(_: int) -> Race:
        outcome = race(stack, stack.submit(simulate={"seconds": 60, "steps": 1200}), aim)
        aim.was(early=outcome.answer == 200)
        return outcome

    seen = races(run, lambda done: {r.answer for r in done} == {200, 202})
    assert {(r.answer, r.said, r.end) for r in seen} == {
        (200, "cancelled", "cancelled"),
        (202, "cancelling", "cancelled"),
    }
    for r in seen:
        types = stack.event_types(r.task_id)
        assert ("task.started" in types) == ("task.cancelling" in types), types
        assert r.answer == 200 or "task.started" in types, types  # a 200 may also mean that it has stopped already
        assert types[-1] == "task.cancelled"


def test_a_cancel_meets_a_finish_and_its_answer_agrees_with_the_one_final_state(stack):
    aim = Aim(0.15, Random(2))

    def run(_: int) -> Race:
        outcome = race(stack, stack.submit("tts", simulate={"seconds": 0.05, "steps": 2}), aim)
        aim.was(early=outcome.answer != 409)
        return outcome

    seen = races(run, lambda done: {202, 409} <= {r.answer for r in done})
    assert {(r.answer, r.said, r.end) for r in seen} <= {
        (200, "cancelled", "cancelled"),
        (202, "cancelling", "cancelled"),
        (202, "cancelling", "completed"),  # the finish was on its way already
        (409, "already_finished", "completed"),
    }
