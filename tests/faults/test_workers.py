"""Workers are paused, retired, stopped, started twice and found broken, all with real processes and running tasks."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from tasks_app import hints
from tests.faults.stack import Stack, running_stack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
DRAIN_SECONDS = 4.0
CHECK_SECONDS = 0.2


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file exists, every device computes wrongly."""
    return tmp_path_factory.mktemp("device") / "wrong"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, mark: Path) -> Iterator[Stack]:
    env = {"ENGINE_SELF_CHECK_SECONDS": str(CHECK_SECONDS), "SELF_CHECK_WRONG_WHILE": str(mark)}
    with running_stack(
        tmp_path_factory.mktemp("workers"), slots=2, WORKER_DRAIN_SECONDS=str(DRAIN_SECONDS), **env
    ) as stack:
        yield stack


@pytest.fixture
def stack(shared: Stack, mark: Path) -> Iterator[Stack]:
    yield shared
    mark.unlink(missing_ok=True)
    steer(shared, "active")
    shared.settle()


def steer(stack: Stack, state: str, name: str = "w1") -> dict[str, Any]:
    response = stack.api.patch(f"/workers/{name}", json={"state": state, "reason": "a test"})
    assert response.status_code == 200, response.text
    return dict(response.json())


def worker(stack: Stack, name: str = "w1") -> dict[str, Any]:
    return dict(stack.api.get(f"/workers/{name}").json())


def health(stack: Stack) -> dict[str, Any]:
    return dict(stack.api.get("/tasks/workers/health").json())


def outcomes(stack: Stack, task: str) -> list[str]:
    return [attempt["outcome"] for attempt in stack.attempts(task)]


def quick_task(stack: Stack) -> str:
    return stack.submit(simulate={"seconds": 0, "steps": 1})


def stays_pending(stack: Stack, task: str) -> bool:
    """For some rounds of the scheduler: what happens to it shows by then."""
    rounds = iter(range(10))
    wait_until(lambda: stack.get(task)["status"] != "pending" or next(rounds, None) is None, what="some rounds")
    return bool(stack.get(task)["status"] == "pending")


# ---------------------------------------------------------------- pause, drain, retire


def test_a_paused_worker_goes_on_with_what_runs_and_takes_nothing_new(stack):
    running = stack.long_task()
    steer(stack, "paused")
    waiting = quick_task(stack)
    assert stack.wait_for(running, "completed")["attempt"] == 1
    assert stays_pending(stack, waiting)
    steer(stack, "active")
    assert stack.wait_for(waiting, "completed")["attempt"] == 1


def test_what_was_on_its_way_to_a_paused_worker_goes_back_at_once_and_its_message_starts_nothing(stack):
    stack.kill("w1", signal.SIGSTOP)
    waiting = quick_task(stack)
    stack.wait_for(waiting, "dispatched")
    steer(stack, "paused")
    assert stack.get(waiting)["status"] == "pending"
    stack.kill("w1", signal.SIGCONT)
    wait_until(lambda: worker(stack)["status"] == "online", what="the thawed worker")
    assert stays_pending(stack, waiting)


def test_what_an_operator_decided_outlives_the_process(stack):
    steer(stack, "paused")
    stack.kill("w1")
    before = worker(stack)["started_at"]
    stack.start_worker("w1")
    wait_until(lambda: worker(stack)["started_at"] > before, 60, "the next process")
    assert worker(stack)["state"] == "paused"
    assert stays_pending(stack, quick_task(stack))


def test_a_draining_worker_says_when_nothing_is_left(stack):
    running = stack.long_task()
    told = steer(stack, "draining")
    assert (told["drained"], told["active_tasks"]) == (False, 1)
    stack.wait_for(running, "completed")
    assert worker(stack)["drained"]


def direct_queues(stack: Stack) -> list[bytes]:
    with redis.Redis.from_url(hints.address(stack.servers.broker_url)) as client:
        members = client.smembers("_kombu.binding.C.dq2")
    return [name for name in members if b"w1@test" in name]  # type: ignore[union-attr]


def test_a_retired_worker_finishes_ends_and_is_forgotten_until_it_is_resumed(stack):
    running = stack.long_task()
    assert direct_queues(stack) or stack.rabbitmq  # there a queue goes with its reader, by itself
    steer(stack, "retired")
    assert stack.wait_for(running, "completed")["attempt"] == 1
    assert stack.processes["w1"].wait(20) == 0
    assert health(stack)["total_workers"] == 0
    assert stack.api.get("/workers/").json() == {"results": []}
    assert not direct_queues(stack)

    stack.start_worker("w1")  # as a supervisor does that knows no better
    wait_until(lambda: worker(stack)["engine_state"] == "off", 60, "the worker to idle")
    waiting = quick_task(stack)
    assert stays_pending(stack, waiting)
    assert stack.processes["w1"].poll() is None
    assert health(stack)["total_workers"] == 0
    assert "worker_is_retired" in stack.log("w1")

    steer(stack, "active")
    stack.wait_for(waiting, "completed")


def test_to_retire_a_lost_worker_takes_it_off_the_lists(stack):
    stack.kill("w1")
    wait_until(lambda: worker(stack)["status"] == "lost", what="the worker to be lost")
    steer(stack, "retired")
    assert (health(stack)["lost_workers"], health(stack)["total_workers"]) == (0, 0)
    assert stack.api.get("/workers/").json() == {"results": []}


# ---------------------------------------------------------------- signals


def test_a_drain_lets_work_finish_that_is_quick_enough_and_takes_nothing_new(stack):
    running = stack.long_task(seconds=1.0)
    stack.kill("w1", signal.SIGTERM)
    wait_until(lambda: worker(stack)["stopping"], what="the worker to say that it stops")
    waiting = quick_task(stack)
    assert stack.wait_for(running, "completed")["attempt"] == 1
    assert stack.processes["w1"].wait(10) == 0
    assert worker(stack)["status"] == "stopped"
    assert stack.get(waiting)["status"] == "pending"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_gives_back_at_once_what_still_runs(stack, second):
    running = stack.long_task(seconds=60)
    stack.kill("w1", signal.SIGTERM)
    wait_until(lambda: worker(stack)["stopping"], what="the worker to say that it stops")
    stack.kill("w1", second)
    stack.wait_for(running, "pending", seconds=DRAIN_SECONDS / 2)
    stack.processes["w1"].wait(10)
    assert outcomes(stack, running) == ["returned"]
    stack.api.patch(f"/tasks/{running}/cancel")


def test_sigquit_alone_gives_back_and_leaves_no_engine(stack):
    running, engine = stack.long_task(seconds=60), stack.engine()
    stack.kill("w1", signal.SIGQUIT)
    stack.processes["w1"].wait(10)
    assert outcomes(stack, running) == ["returned"]
    assert worker(stack)["status"] == "stopped"
    wait_until(lambda: not engine.is_running(), 5, "the engine to end")
    stack.api.patch(f"/tasks/{running}/cancel")


# ---------------------------------------------------------------- the same name again


def test_a_worker_that_comes_back_frees_what_its_earlier_process_was_running(stack):
    running = stack.long_task(seconds=2)
    stack.kill("w1")
    postpone_leases(stack)
    stack.start_worker("w1")
    assert stack.wait_for(running, "completed")["attempt"] == 2
    first = stack.attempts(running)[0]
    assert (first["outcome"], first["error"]["code"]) == ("lost", "worker_lost")
    assert "was started anew" in first["error"]["message"]


def postpone_leases(stack: Stack) -> None:
    with psycopg.connect(stack.servers.database_url) as session:
        session.execute(
            "UPDATE tasks_app_task SET lease_expires_at = now() + interval '1 hour' WHERE status = 'running'"
        )


def test_of_two_processes_with_one_name_the_older_stops_its_work_and_its_engine_and_ends(stack):
    running = stack.submit(simulate={"seconds": 0.5, "fail": "hang"})  # it does not end before the other comes
    stack.at_work(running)
    engine = stack.engine()
    older = stack.processes["older"] = stack.processes.pop("w1")
    stack.start_worker("w1")
    assert ends_well(older)
    assert not engine.is_running()
    done = stack.wait_for(running, "completed")
    # Either the newcomer says that it was lost, or the older one gives it back before.
    assert (done["attempt"], outcomes(stack, running)[1:]) == (2, ["completed"])
    assert outcomes(stack, running)[0] in ("lost", "returned")
    assert "worker_displaced" in stack.log("w1")
    assert stack.online_workers() == 1
    stack.wait_for(quick_task(stack), "completed")


def ends_well(process: subprocess.Popen[bytes]) -> bool:
    return process.wait(20) == 0


def test_a_frozen_worker_whose_name_was_taken_changes_nothing_when_it_thaws(stack):
    running = stack.long_task(seconds=2)
    older = stack.processes["older"] = stack.processes.pop("w1")
    tree = [psutil.Process(older.pid), *psutil.Process(older.pid).children(recursive=True)]
    for process in tree:
        process.suspend()
    stack.start_worker("w1")
    done = stack.wait_for(running, "completed")
    for process in tree:
        process.resume()
    assert ends_well(older)
    assert stack.get(running) == done
    assert worker(stack)["status"] == "online"


# ---------------------------------------------------------------- a device that computes wrongly


def quarantined(stack: Stack) -> bool:
    return bool(worker(stack)["quarantine"])


def test_a_device_that_computes_wrongly_is_quarantined_and_comes_back_when_it_is_sound(stack, mark):
    running, engine = stack.long_task(seconds=4), stack.engine()
    mark.touch()
    wait_until(lambda: quarantined(stack), what="the quarantine")
    assert str(mark) in worker(stack)["quarantine"]["reason"]
    assert not engine.is_running()  # a fresh one had its chance
    assert (health(stack)["status"], health(stack)["quarantined_workers"]) == ("degraded", 1)
    stack.wait_for(running, "pending")
    assert set(outcomes(stack, running)) == {"returned"}
    assert stays_pending(stack, running)
    mark.unlink()
    assert stack.wait_for(running, "completed")["attempt"] == len(stack.attempts(running))
    assert not quarantined(stack)


def test_a_single_wrong_answer_costs_a_fresh_engine_and_no_attempt(stack, mark):
    running, engine = stack.long_task(seconds=1.5), stack.engine()
    mark.touch()
    wait_until(lambda: not engine.is_running(), what="the engine to be started again")
    mark.unlink()
    stack.wait_for(running, "completed")
    assert outcomes(stack, running) == ["returned", "completed"]
    assert not quarantined(stack)


def test_a_quarantine_outlives_the_process(stack, mark):
    mark.touch()
    wait_until(lambda: quarantined(stack), what="the quarantine")
    stack.kill("w1")
    before = worker(stack)["started_at"]
    stack.start_worker("w1")
    wait_until(lambda: worker(stack)["started_at"] > before, 60, "the next process")
    assert quarantined(stack)


def test_an_operator_ends_a_quarantine_and_a_broken_device_is_found_again(stack, mark):
    mark.touch()
    wait_until(lambda: quarantined(stack), what="the quarantine")
    began = worker(stack)["quarantine"]["since"]
    steer(stack, "active")
    wait_until(lambda: quarantined(stack) and worker(stack)["quarantine"]["since"] > began, what="the next quarantine")
