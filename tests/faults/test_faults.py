"""Processes die in the middle of a task; every task still ends in exactly one final state, as the oracle checks."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from gpu_worker.runners.simulated import SLEEPER
from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.faults


def test_a_killed_engine_costs_its_task_one_attempt_and_comes_back(stack):
    task = stack.long_task()
    engine = stack.kill_engine()
    done = stack.wait_for(task, "completed")
    assert done["attempt"] == 2
    assert [a["outcome"] for a in stack.attempts(task)] == ["failed", "completed"]
    assert stack.attempts(task)[0]["error"]["code"] == "engine_crashed"
    assert not engine.is_running()


def test_a_task_that_kills_its_engine_every_time_is_poisoned_and_its_neighbours_are_not_hurt(stack):
    neighbours = [stack.submit("tts", simulate={"seconds": 2, "steps": 20}, max_attempts=1) for _ in range(2)]
    for neighbour in neighbours:
        stack.at_work(neighbour)
    poison = stack.submit(simulate={"seconds": 0.5, "fail": "poison"}, max_attempts=10)
    done = stack.wait_for(poison, "failed")
    assert (done["error"]["code"], done["error"]["retryable"], done["attempt"]) == ("poisoned", False, 2)
    for neighbour in neighbours:
        stack.wait_for(neighbour, "completed")
        assert [a["outcome"] for a in stack.attempts(neighbour)] == ["failed", "completed"]


def test_a_killed_worker_loses_its_task_to_another_and_takes_its_engine_with_it(stack):
    task = stack.long_task(seconds=2)
    engine = stack.engine()
    stack.kill("w1")
    stack.start_worker("w2")
    done = stack.wait_for(task, "completed")
    assert (done["attempt"], done["worker_id"]) == (2, "w2")
    assert stack.attempts(task)[0]["error"]["code"] == "worker_lost"
    wait_until(lambda: not engine.is_running(), 5, "the orphaned engine to die")


def test_tasks_wait_for_a_killed_scheduler_and_the_stand_by_takes_over(stack):
    stack.start_scheduler("stand-by")
    task = stack.long_task()
    stack.kill("scheduler")
    later = stack.submit(simulate={"seconds": 0})
    assert stack.wait_for(later, "completed")["attempt"] == 1
    assert stack.wait_for(task, "completed")["attempt"] == 1


def test_a_killed_web_process_loses_no_accepted_task(stack):
    tasks = [stack.submit(simulate={"seconds": 0.2}) for _ in range(10)]
    stack.kill("web")
    stack.start_web()
    for task in tasks:
        stack.wait_for(task, "completed")


@pytest.mark.parametrize("fault", [None, "ignore_cancel", "stuck"])
def test_a_stopping_worker_gives_its_task_back_at_no_cost_and_exits_in_time(stack, fault):
    task = stack.submit(simulate={"seconds": 2, "steps": 40, "fail": fault}, max_attempts=1)
    stack.at_work(task)
    stack.processes["w1"].send_signal(signal.SIGTERM)
    stack.start_worker("w2")
    assert stack.processes["w1"].wait(15) == 0  # half a second for the task, three for the engine, the rest to be sure
    done = stack.wait_for(task, "completed")
    assert [a["outcome"] for a in stack.attempts(task)] == ["returned", "completed"]
    assert done["worker_id"] == "w2"
    assert stack.online_workers() == 1


# ---------------------------------------------------------------- cancel in its three stages


def test_a_running_task_is_stopped_cooperatively(stack):
    task = stack.long_task(seconds=30)
    assert stack.api.patch(f"/tasks/{task}/cancel").status_code == 202
    done = stack.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "cooperative"
    assert done["attempt"] == 1


def sleepers(stack: Stack) -> set[int]:
    """What `fail=grandchild` leaves behind."""
    found = set()
    for process in stack.own_processes():
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() == SLEEPER:
                found.add(process.pid)
    return found


@pytest.mark.parametrize(("how", "seconds"), [("ignore_cancel", 60), ("hang", 0), ("stuck", 0), ("grandchild", 0)])
def test_a_runner_that_does_not_stop_is_killed_and_the_next_task_completes(stack, how, seconds):
    engine = stack.engine()
    neighbour = stack.submit("tts", simulate={"seconds": 3, "steps": 30})
    stack.at_work(neighbour)
    task = stack.submit(simulate={"seconds": seconds, "steps": 4, "fail": how, "fail_attempts": 9})
    stack.at_work(task)
    if how == "grandchild":
        wait_until(lambda: sleepers(stack), what="the grandchild")
    assert stack.api.patch(f"/tasks/{task}/cancel").status_code == 202
    done = stack.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "killed"
    assert not engine.is_running()
    assert not sleepers(stack)
    stack.wait_for(neighbour, "completed")
    assert [a["outcome"] for a in stack.attempts(neighbour)] == ["returned", "completed"]
    stack.wait_for(stack.submit(simulate={"seconds": 0}), "completed")


@pytest.mark.parametrize("how", [None, "ignore_cancel"])
def test_an_execution_that_takes_too_long_is_stopped_and_not_tried_again(stack, how):
    engine = stack.engine()
    task = stack.submit(simulate={"seconds": 60, "steps": 600, "fail": how}, execution_timeout=1)
    done = stack.wait_for(task, "failed")
    assert done["error"]["code"] == "execution_timeout"
    assert done["attempt"] == 1
    assert engine.is_running() == (how is None)  # the grace is over for one that does not listen


def test_a_hung_runner_is_found_without_a_cancel_and_its_task_tried_again(stack):
    task = stack.submit(simulate={"seconds": 0.5, "fail": "hang"})
    assert stack.wait_for(task, "completed")["attempt"] == 2
    error = stack.attempts(task)[0]["error"]
    assert error["code"] == "engine_crashed"
    assert "has stood still" in error["message"]
    assert stack.processes["w1"].poll() is None


def test_a_task_that_waits_too_long_expires_and_is_never_started(stack):
    stack.kill("w1")
    task = stack.submit(simulate={"seconds": 0}, start_timeout=1)
    done = stack.wait_for(task, "expired")
    assert done["attempt"] == 0
    assert "task.started" not in stack.event_types(task)


# ---------------------------------------------------------------- PostgreSQL


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_database_that_goes_away_under_running_tasks_costs_none_of_them_an_attempt(stack, how):
    running = [stack.long_task(seconds=3) for _ in range(4)]
    waiting = [stack.submit(simulate={"seconds": 0}) for _ in range(4)]
    if how == "killed":
        stack.kill_server("postgres")
        stack.servers.start_again("postgres")
    else:
        stack.kill_server("postgres", signal.SIGSTOP)
        time.sleep(4)  # longer than two leases; PostgreSQL's clock does not stand still
        stack.servers.kill("postgres", signal.SIGCONT)
    wait_until(lambda: stack.is_ready(workers=1), 60, "Baton to be back")
    for task in (*running, *waiting):
        assert stack.wait_for(task, "completed", seconds=60)["attempt"] == 1


def test_a_transaction_that_somebody_leaves_open_holds_nobody_up(stack):
    with psycopg.connect(stack.servers.database_url) as idle:
        idle.execute("SET idle_in_transaction_session_timeout = 0")
        idle.execute("SELECT count(*) FROM tasks_app_task")
        tasks = [stack.submit(simulate={"seconds": 0, "steps": 1}) for _ in range(150)]
        for task in tasks:
            assert stack.wait_for(task, "completed", seconds=60)["attempt"] == 1
