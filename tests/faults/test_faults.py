"""Processes die in the middle of a task; every task still ends in exactly one final state, as the oracle checks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.faults import oracle
from tests.faults.stack import FINAL, Stack, running_stack, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("faults"), WORKER_DRAIN_SECONDS="0.5", STALL_SECONDS="3") as stack:
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    """The shared processes, whole again whatever the test before did to them; after the test the oracle speaks."""
    shared.restore()
    yield shared
    shared.restore()
    wait_until(lambda: settled(shared), 30, "all tasks to end")
    oracle.check(shared.servers.database_url, shared.directory / "data" / "artifacts")


def settled(stack: Stack) -> bool:
    tasks = stack.api.get("/tasks/?limit=200").json()["results"]
    return all(task["status"] in FINAL for task in tasks)


def attempts(stack: Stack, task_id: str) -> list[dict]:
    return list(stack.api.get(f"/tasks/{task_id}/attempts").json()["results"])


def long_task(stack: Stack, seconds: float = 1.5, **values: object) -> str:
    """Submitted and running."""
    task = stack.submit(simulate={"seconds": seconds, "steps": int(seconds * 20), **values})
    stack.wait_for(task, "running")
    return task


def test_a_killed_engine_costs_its_task_one_attempt_and_comes_back(stack):
    task = long_task(stack)
    engine = stack.engine()
    engine.kill()
    done = stack.wait_for(task, "completed")
    assert done["attempt"] == 2
    assert [a["outcome"] for a in attempts(stack, task)] == ["failed", "completed"]
    assert attempts(stack, task)[0]["error"]["code"] == "engine_crashed"
    assert not engine.is_running()


def test_a_killed_worker_loses_its_task_to_another_and_takes_its_engine_with_it(stack):
    task = long_task(stack, seconds=2)
    engine = stack.engine()
    stack.kill("w1")
    stack.start_worker("w2")
    done = stack.wait_for(task, "completed")
    assert (done["attempt"], done["worker_id"]) == (2, "w2")
    assert attempts(stack, task)[0]["error"]["code"] == "worker_lost"
    wait_until(lambda: not engine.is_running(), 5, "the orphaned engine to die")


def test_a_frozen_worker_that_comes_back_changes_nothing(stack):
    task = long_task(stack, seconds=2)
    tree = [psutil.Process(stack.processes["w1"].pid)]
    tree += tree[0].children(recursive=True)
    for process in tree:
        process.suspend()
    stack.start_worker("w2")
    done = stack.wait_for(task, "completed")
    for process in tree:
        process.resume()
    again = stack.submit(simulate={"seconds": 0})  # the thawed worker works again
    stack.wait_for(again, "completed")
    assert stack.get(task) == done


def test_tasks_wait_for_a_killed_scheduler_and_the_stand_by_takes_over(stack):
    stack.start_scheduler("stand-by")
    task = long_task(stack)
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


def test_a_stopping_worker_gives_its_task_back_at_no_cost(stack):
    task = long_task(stack, seconds=2.0)
    stack.processes["w1"].send_signal(signal.SIGTERM)
    stack.start_worker("w2")
    done = stack.wait_for(task, "completed")
    assert stack.processes["w1"].wait(10) == 0
    assert [a["outcome"] for a in attempts(stack, task)] == ["returned", "completed"]
    assert done["worker_id"] == "w2"
    assert stack.online_workers() == 1


# ---------------------------------------------------------------- cancel in its three stages


def test_a_running_task_is_stopped_cooperatively(stack):
    task = long_task(stack, seconds=30)
    assert stack.api.patch(f"/tasks/{task}/cancel").status_code == 202
    done = stack.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "cooperative"
    assert done["attempt"] == 1


def sleepers() -> set[int]:
    """What `fail=grandchild` leaves behind."""
    return {p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "86400"]}


@pytest.mark.parametrize(("how", "seconds"), [("ignore_cancel", 60), ("hang", 0.4), ("grandchild", 0.4)])
def test_a_runner_that_does_not_stop_is_killed_and_the_next_task_completes(stack, how, seconds):
    engine, before = stack.engine(), sleepers()
    task = stack.submit(simulate={"seconds": seconds, "steps": 4, "fail": how, "fail_attempts": 9})
    neighbour = stack.submit("tts", simulate={"seconds": 3, "steps": 30})
    stack.wait_for(task, "running")
    stack.wait_for(neighbour, "running")
    time.sleep(0.5)  # the faults come half-way through `seconds`
    assert bool(sleepers() - before) == (how == "grandchild")
    stack.api.patch(f"/tasks/{task}/cancel")
    done = stack.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "killed"
    assert not engine.is_running()
    assert not sleepers() - before
    stack.wait_for(neighbour, "completed")
    assert [a["outcome"] for a in attempts(stack, neighbour)] == ["returned", "completed"]
    stack.wait_for(stack.submit(simulate={"seconds": 0}), "completed")


def test_an_execution_that_takes_too_long_is_stopped_and_not_tried_again(stack):
    task = stack.submit(simulate={"seconds": 30, "steps": 300}, execution_timeout=1)
    done = stack.wait_for(task, "failed")
    assert done["error"]["code"] == "execution_timeout"
    assert done["attempt"] == 1


def test_a_hung_runner_is_found_without_a_cancel_and_its_task_tried_again(stack):
    task = stack.submit(simulate={"seconds": 0.5, "fail": "hang"})
    assert stack.wait_for(task, "completed")["attempt"] == 2
    assert attempts(stack, task)[0]["error"]["code"] == "engine_crashed"


def test_a_task_that_waits_too_long_expires_and_is_never_started(stack):
    stack.kill("w1")
    task = stack.submit(simulate={"seconds": 0}, start_timeout=1)
    done = stack.wait_for(task, "expired")
    assert done["attempt"] == 0
