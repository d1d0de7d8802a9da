"""Commits without an answer, zombies, workers of another version, and workers that never live long."""

from __future__ import annotations

import os
import signal
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import cycle
from random import Random

import pytest
from django.utils.dateparse import parse_datetime
from PIL import Image

from tests.faults.proxy import Proxy
from tests.faults.stack import Stack, wait_until
from tests.servers import SETTINGS

pytestmark = pytest.mark.faults
LEASE = float(SETTINGS["LEASE_SECONDS"])
TASKS = int(os.environ.get("FAULT_TASKS", "500"))
RESTARTS = int(os.environ.get("FAULT_RESTARTS", "3"))  # of each worker


@contextmanager
def only_worker_behind_proxy(stack: Stack) -> Iterator[Proxy]:
    """`w2` is the only one, and its database is behind the proxy."""
    with stack.behind_proxy("postgres") as (proxy, env):
        stack.start_worker("w2", **env)
        wait_until(lambda: stack.online_workers() == 2, 30, "w2 to be there")
        stack.kill("w1")
        wait_until(lambda: stack.online_workers() == 1, 30, "w1 to be missed")
        try:
            yield proxy
        finally:
            stack.kill("w2")


# ---------------------------------------------------------------- commits without an answer


def test_a_worker_that_gets_no_answer_to_the_commits_of_its_claim_and_its_finish_knows_them_as_its_own(stack):
    with only_worker_behind_proxy(stack) as proxy:
        proxy.swallow_reply_to(b"COMMIT")
        task = stack.submit("tts", simulate={"seconds": 2, "steps": 20})
        wait_until(proxy.swallowed.is_set, what="the commit of the claim")
        stack.at_work(task)
        proxy.swallow_reply_to(b"COMMIT")
        wait_until(proxy.swallowed.is_set, what="the commit of the finish")
        stack.wait_for(task, "completed")
        assert stack.event_types(task) == ["task.created", "task.dispatched", "task.started", "task.completed"]
        wait_until(lambda: "attempt_ended" in stack.log("w2"), what="the worker to know that its finish was taken")
        assert not stack.orphans()  # and it kept the file


def test_a_submit_whose_commit_was_not_answered_is_a_503_that_exists_at_most_once_and_runs(stack):
    with stack.behind_proxy("postgres") as (proxy, env):
        stack.kill("web")
        stack.start_web(**env)
        try:
            wait_until(lambda: stack.is_ready(workers=1), 30, "the web process behind the proxy")
            proxy.swallow_reply_to(b"COMMIT")
            body = {"task_type": "image_to_text", "model": "simulated", "input": {"image": image()}}
            answers = [stack.api.post("/tasks/", json=body | {"metadata": {"try": f"{n}"}}).status_code for n in (1, 2)]
            assert proxy.swallowed.is_set()
            assert answers == [503, 201]
        finally:
            stack.kill("web")
    stored = stack.query("SELECT metadata ->> 'try', id FROM tasks_app_task WHERE metadata ? 'try' ORDER BY id")
    assert [number for number, _ in stored] == ["1", "2"]  # without an answer, but committed, and not twice
    stack.start_web()
    for _, task in stored:
        stack.wait_for(task, "completed")  # the image of the first is still there


def image() -> str:
    content = BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


# ---------------------------------------------------------------- zombies


def test_a_frozen_worker_that_comes_back_changes_nothing_and_its_engine_is_stopped(stack):
    task = stack.submit("tts", simulate={"seconds": 0, "fail": "hang"})
    stack.at_work(task)
    time.sleep(0.7)  # it hangs from its first step on; one that is frozen before would still stop when it is asked
    [attempt] = stack.attempts(task)
    engine, tree = stack.engine(), stack.family("w1")
    for process in tree:
        process.suspend()
    time.sleep(2 * LEASE)
    stack.start_worker("w2")
    done = stack.wait_for(task, "completed")
    assert (done["attempt"], done["worker_id"]) == (2, "w2")
    for process in tree:
        process.resume()
    wait_until(lambda: not engine.is_running(), what="the engine of the attempt that nobody waits for to be stopped")
    assert f"attempt {attempt['attempt_id']} did not stop" in stack.log("w1")
    stack.kill("w2")
    stack.wait_for(stack.submit(simulate={"seconds": 0}), "completed")  # the thawed worker works again
    assert stack.get(task) == done


def test_the_files_of_a_finish_that_comes_two_leases_late_never_show(stack):
    with only_worker_behind_proxy(stack) as proxy:
        task = stack.submit("tts", simulate={"seconds": 1, "steps": 20})
        stack.at_work(task)
        proxy.freeze()
        wait_until(stack.orphans, what="the files of the first attempt")
        time.sleep(2 * LEASE)
        stack.start_worker("w1")
        done = stack.wait_for(task, "completed")
        assert (done["attempt"], done["worker_id"]) == (2, "w1")
        proxy.thaw()
        wait_until(lambda: not stack.orphans(), what="the late worker to remove its files")
        assert stack.get(task) == done
        assert [a["outcome"] for a in stack.attempts(task)] == ["lost", "completed"]


# ---------------------------------------------------------------- trying again


def test_transient_failures_are_tried_again_after_their_pause_though_the_scheduler_is_killed_meanwhile(stack):
    stack.artifacts.mkdir(parents=True, exist_ok=True)  # it is made with the first file
    away = stack.artifacts.rename(stack.artifacts.with_name("artifacts-away"))
    stack.artifacts.write_text("a file where the directory should be")
    task = stack.submit("tts", simulate={"seconds": 0})
    wait_until(lambda: "task.retrying" in stack.event_types(task), what="the first failure")
    stack.kill("scheduler")
    stack.start_scheduler()
    wait_until(lambda: stack.event_types(task).count("task.retrying") == 2, what="the second failure")
    stack.artifacts.unlink()
    away.rename(stack.artifacts)
    assert stack.wait_for(task, "completed")["attempt"] == 3
    assert [a["outcome"] for a in stack.attempts(task)] == ["failed", "failed", "completed"]
    assert waited(stack, task)


def waited(stack: Stack, task: str) -> bool:
    """Whether no dispatch came before the end of the pause before it."""
    rows = stack.query("SELECT type, at, data FROM tasks_app_taskevent WHERE task_id = %s ORDER BY seq", task)
    pause_ends = None
    for event_type, at, data in rows:
        if event_type == "task.retrying":
            pause_ends = parse_datetime(data["not_before"])
        elif event_type == "task.dispatched" and pause_ends and at < pause_ends:
            return False
    return True


# ---------------------------------------------------------------- workers of another version


FOREIGN = {  # how a row looks that only a newer version could have written; how it looks to a worker of that version
    "a parameter": (
        "UPDATE tasks_app_task SET parameters = parameters || '{\"beams\": 4}' WHERE id = %s RETURNING id",
        "UPDATE tasks_app_task SET parameters = parameters - 'beams' WHERE id = %s RETURNING id",
    ),
    "a runner": (
        """INSERT INTO workers_app_model SELECT (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid(),
           'name', 'tomorrow', 'runner', 'of tomorrow', 'is_default', false, 'from_file', false))).*
           FROM workers_app_model m, tasks_app_task t WHERE (m.task_type, m.name, t.id) = ('llm', 'simulated', %s)
           RETURNING id""",
        "UPDATE workers_app_model SET runner = 'simulated' FROM tasks_app_task t WHERE t.id = %s AND name = 'tomorrow'"
        " RETURNING t.id",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_an_old_worker_gives_back_what_only_a_newer_one_knows(stack, what):
    foreign, known = FOREIGN[what]
    task = stack.submit(max_attempts=1, run_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert stack.query(foreign, task)
    model = "tomorrow" if what == "a runner" else "simulated"
    assert stack.query(
        "UPDATE tasks_app_task SET not_before = NULL, model = %s WHERE id = %s RETURNING id", model, task
    )
    wait_until(lambda: [a["outcome"] for a in stack.attempts(task)].count("returned") >= 3, what="three tries")
    assert stack.attempts(task)[0]["error"]["message"].startswith("This worker's version does not know the")
    assert stack.query(known, task)
    done = stack.wait_for(task, "completed")
    assert {a["outcome"] for a in stack.attempts(task)[:-1]} == {"returned"}
    assert waited(stack, task)
    assert done["attempt"] < 10  # the pause doubles; without one it would have been hundreds


# ---------------------------------------------------------------- workers that never live long


@pytest.mark.timeout(60 + TASKS)
@pytest.mark.thorough
def test_workers_that_are_restarted_again_and_again_lose_nothing(stack):
    names = ["w1", "w2", "w3"]
    for name in names[1:]:
        stack.start_worker(name)
    wait_until(lambda: stack.online_workers() == 3, 30, "three workers")
    random = Random(TASKS)
    with ThreadPoolExecutor(4) as clients:
        tasks = list(clients.map(lambda seconds: submit_one(stack, seconds), [random.random() for _ in range(TASKS)]))
    for name, number in zip(names * RESTARTS, cycle([signal.SIGTERM, signal.SIGKILL]), strict=False):
        restart(stack, name, number)
    for task in tasks:
        stack.wait_for(task, "completed", seconds=30 + TASKS)
    lost = "SELECT 1 FROM tasks_app_attempt WHERE task_id = ANY(%s) AND outcome IN ('lost', 'returned')"
    assert stack.query(lost, tasks)  # the restarts did hit something


def submit_one(stack: Stack, seconds: float) -> str:
    return stack.submit(simulate={"seconds": seconds, "steps": 5}, max_attempts=10)


def restart(stack: Stack, name: str, number: int) -> None:
    before = incarnation(stack, name)
    stack.processes[name].send_signal(number)
    stack.processes[name].wait(20)
    stack.start_worker(name)
    wait_until(lambda: incarnation(stack, name) != before, 30, f"{name} to be back")


def incarnation(stack: Stack, name: str) -> list[tuple[object, ...]]:
    return stack.query("SELECT incarnation FROM workers_app_worker WHERE name = %s", name)
