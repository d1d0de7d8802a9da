"""Where a task stands in line and when it may start, as the policy itself would have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tasks_app.scheduling.forecast import Forecast, forecast
from tasks_app.scheduling.learning import Learnt, Times
from tasks_app.scheduling.policy import plan
from tasks_app.scheduling.snapshot import Busy, ModelKey, ModelView, OrganizationView, Plan, Snapshot, WaitingTask
from tasks_app.simulation import run as simulation
from tasks_app.simulation.scenarios import SCENARIOS
from tests.unit.test_policy import ACME, CHAT, ZEBRA, grouped, waiting, worker

TEN = Times([(("llm", "chat", ""), Learnt(runs=5, run=10.0, deviation=1.0, loads=1, load=4.0))])


def seen(task: WaitingTask, tasks: list[WaitingTask], *workers: Any, **values: Any) -> Forecast | None:
    values = {"now": 100.0, "times": TEN, **values}
    return forecast(Snapshot(queues=grouped(tasks), workers=list(workers), **values), task)


def test_the_first_in_line_starts_when_the_next_slot_is_free() -> None:
    task = waiting(1)
    told = seen(task, [task], replace(worker(free=0, warm="chat"), slots=1, busy=(Busy("chat", 7.0),)))
    assert told == Forecast(1, 1, 7.0, 7.0)


def test_everybody_before_it_takes_a_slot_for_as_long_as_history_tells() -> None:
    tasks = [waiting(number) for number in range(1, 6)]
    busy = (Busy("chat", 1.0), Busy("chat", 2.0))
    told = seen(tasks[4], tasks, replace(worker(free=0, warm="chat"), slots=2, busy=busy))
    assert told == Forecast(5, 5, 1.0 + 2 * 8.0, 1.0 + 2 * 12.0)


def test_a_cold_slot_adds_the_load_to_the_late_end_only() -> None:
    task = waiting(1)
    assert seen(task, [task], worker(free=1)) == Forecast(1, 1, 0.0, 4.0)


def test_work_for_other_machines_stands_in_line_and_takes_no_slot_of_its() -> None:
    task, speech = waiting(2), [waiting(1, task_type="tts", model="voice", priority=9)]
    chat, voice = worker("a", free=1, warm="chat"), replace(worker("b", free=1), kinds=frozenset({"tts"}))
    told = seen(task, [*speech, task], replace(chat, kinds=frozenset({"llm"})), voice)
    assert told == Forecast(2, 2, 0.0, 0.0)


def test_who_has_used_less_comes_first_and_is_not_its_own() -> None:
    mine, theirs = waiting(1), waiting(2, organization=ZEBRA)
    used = {ACME: OrganizationView(virtual=50.0), ZEBRA: OrganizationView()}
    told = seen(mine, [mine, theirs], worker(warm="chat"), organizations=used)
    assert told is not None
    assert (told.position, told.own) == (2, 1)


@pytest.mark.parametrize("bounded", ["organizations", "models"])
def test_a_limit_makes_it_wait_for_the_end_of_one_of_its_kind(bounded: str) -> None:
    tasks = [waiting(1), waiting(2)]
    limits: dict[str, Any] = {
        "organizations": {ACME: OrganizationView(limit=1)},
        "models": {ModelKey(*CHAT): ModelView(limit=1)},
    }
    told = seen(tasks[1], tasks, worker(free=4, warm="chat"), **{bounded: limits[bounded]})
    assert told == Forecast(2, 2, 8.0, 12.0)


def test_a_worker_that_has_enough_of_its_model_makes_it_wait_for_the_end_of_one_of_them() -> None:
    tasks = [waiting(number, per_worker=1) for number in (1, 2)]
    view = worker(free=3, warm="chat", busy=(Busy("chat", 5.0, "llm"),))
    assert seen(tasks[0], tasks, view) == Forecast(1, 1, 5.0, 5.0)
    assert seen(tasks[1], tasks, view) == Forecast(2, 2, 5.0 + 8.0, 5.0 + 12.0)


def test_nobody_who_could_run_it_means_no_time() -> None:
    task = waiting(1, task_type="video")
    assert seen(task, [task], worker()) == Forecast(1, 1, None, None)


def test_a_task_that_is_not_shown_has_no_forecast() -> None:
    assert seen(waiting(9), [waiting(1)], worker()) is None


@pytest.mark.parametrize(
    ("scenario", "share"), [("heavy-tenant", 0.9), ("swaps", 0.75), ("mixed", 0.65), ("priorities", 0.5)]
)
def test_most_tasks_begin_within_what_was_said_when_they_had_waited_a_second(scenario: str, share: float) -> None:
    """The others are overtaken by whoever comes later and is more urgent or has used less: nobody can know of them."""
    said: dict[UUID, tuple[float, Forecast]] = {}

    def policy(snapshot: Snapshot) -> Plan:
        for queue in snapshot.queues:
            task = queue[-1]
            young = task.task_id in said or snapshot.now - task.since < 1.0
            if not young and len(said) < 300 and (told := forecast(snapshot, task)):
                said[task.task_id] = snapshot.now, told
        return plan(snapshot)

    record = simulation.run(SCENARIOS[scenario](2, 240.0, 1), policy)
    hits = total = 0
    for job in record.jobs:
        if job.task.task_id in said and job.waited is not None:
            now, told = said[job.task.task_id]
            assert told.earliest is not None
            assert told.latest is not None
            start, slack = job.arrival.at + job.waited - now, 2.0
            total += 1
            hits += told.earliest - slack <= start <= told.latest * 1.5 + slack
    assert total > 50
    assert hits / total > share, (hits, total)
