"""Somebody else's Celery workers as an external pool: real ones that know nothing of Baton, on a Redis of their own."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import oracle
from tests.faults.foreign import PNG, Foreign, foreign_celery
from tests.faults.stack import Stack, running_stack, wait_until

pytestmark = pytest.mark.faults
PNG_URL = "data:image/png;base64," + PNG


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    directory = Path(tempfile.mkdtemp(prefix="baton-foreign-"))  # short: a socket's path is
    with foreign_celery(directory) as started:
        yield started
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, foreign: Foreign) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("external"), workers=0, RETRY_BACKOFF_SECONDS="0.1") as stack:
        stack.start_external_pool(foreign.url, WORKER_DRAIN_SECONDS="0.5")
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    yield shared
    wait_until(shared.all_ended, 30, "all tasks to end")
    oracle.check(shared.servers.database_url, shared.directory / "data" / "artifacts")


@pytest.fixture
def prefork(stack: Stack, foreign: Foreign) -> Iterator[Stack]:
    yield from with_pool(stack, foreign, "prefork")


@pytest.fixture
def threads(stack: Stack, foreign: Foreign) -> Iterator[Stack]:
    yield from with_pool(stack, foreign, "threads")


def with_pool(stack: Stack, foreign: Foreign, pool: str) -> Iterator[Stack]:
    """One plain worker with that pool, and no other."""
    for other in [other for other in foreign.workers if other != pool]:
        foreign.kill_worker(other)
    if pool not in foreign.workers:
        foreign.start_worker(pool, pool)
    wait_until(lambda: said(stack) == f"{pool}@plain ({pool} 2)", 30, f"the {pool} worker to be seen")
    wait_until(lambda: theirs(stack)["abandoned_tasks"] == 0, what="a fresh start")
    yield stack


def theirs(stack: Stack) -> dict[str, Any]:
    return dict(stack.api.get("/tasks/workers/stats").json()["workers"].get("theirs", {}))


def said(stack: Stack) -> str:
    """Who is behind the pool."""
    gpus = theirs(stack).get("gpus")
    return str(gpus[0]["name"]) if gpus else ""


def ask(stack: Stack, prompt: str, **values: Any) -> str:
    return stack.submit(input={"prompt": prompt}, **values)


def running(stack: Stack, prompt: str, **values: Any) -> str:
    """Submitted, and started by the external worker."""
    task = ask(stack, prompt, **values)
    wait_until(lambda: stack.get(task)["phase"] == "inference", what=f"{prompt!r} to be started")
    return task


# ---------------------------------------------------------------- what it does


def test_an_external_worker_runs_each_task_type(prefork):
    image = {"image": PNG_URL}
    tasks = {
        "llm": prefork.submit("llm"),
        "stable_diffusion": prefork.submit("stable_diffusion", parameters={"seed": 7}),
        "tts": prefork.submit("tts"),
        "image_to_text": prefork.submit("image_to_text", input=image),
    }
    done = {kind: prefork.wait_for(task, "completed") for kind, task in tasks.items()}
    assert done["llm"]["result"] == {"text": "simulated heard Hello", "finish_reason": "stop"}
    assert done["llm"]["usage"]["output_tokens"] == 3
    [picture] = done["stable_diffusion"]["result"]["images"]
    assert (picture["width"], picture["height"], picture["seed"]) == (1, 1, 7)
    audio = done["tts"]["result"]["audio"]
    assert (audio["format"], audio["sample_rate"], audio["duration_seconds"]) == ("wav", 8000, 0.5)
    assert done["image_to_text"]["result"] == {"text": "data:image/png;base64, 70 bytes"}
    for artifact in (picture["artifact_id"], audio["artifact_id"]):
        assert prefork.api.get(f"/artifacts/{artifact}").status_code == 200
    assert {task["worker_id"] for task in done.values()} == {"theirs"}


def test_it_is_shown_as_external_in_worker_health(prefork):
    health = prefork.api.get("/tasks/workers/health").json()
    assert health["workers"]["theirs"] == {"status": "online", "external": True}
    assert (health["status"], health["external_workers"]) == ("healthy", 1)
    worker = theirs(prefork)
    assert (worker["external"], worker["engine_state"], worker["slots"]) == (True, "ready", 2)
    assert (worker["gpus"][0]["type"], worker["gpus"][0]["name"]) == ("external", "prefork@plain (prefork 2)")


def test_a_bad_input_is_not_tried_again(prefork):
    done = prefork.wait_for(ask(prefork, "refuse too short"), "failed")
    assert (done["error"]["code"], done["error"]["message"], done["attempt"]) == ("invalid_input", "too short", 1)


def test_any_other_failure_is_tried_again(prefork):
    done = prefork.wait_for(ask(prefork, "break something", max_attempts=2), "failed")
    assert (done["error"]["code"], done["attempt"]) == ("internal_error", 2)
    assert "RuntimeError: something" in done["error"]["message"]


def test_an_answer_that_breaks_the_contract_says_what_is_missing(prefork):
    done = prefork.wait_for(ask(prefork, "nonsense", max_attempts=1), "failed")
    assert done["error"]["code"] == "internal_error"
    assert "must have a text" in done["error"]["message"]


# ---------------------------------------------------------------- stopping


def test_what_an_external_worker_runs_in_a_process_is_killed(prefork):
    task = running(prefork, "sleep 60")
    assert prefork.api.patch(f"/tasks/{task}/cancel").status_code == 202
    done = prefork.wait_for(task, "cancelled")
    assert (done["cancellation"]["mode"], theirs(prefork)["abandoned_tasks"]) == ("killed", 0)
    prefork.wait_for(ask(prefork, "and go on"), "completed")


def test_what_nobody_has_started_is_taken_back_and_never_runs(prefork, foreign, tmp_path):
    """The slots of the foreign worker are taken by other work of its own, so that ours has to wait there."""
    gate = tmp_path / "gate"
    foreign.send(f"wait-for {gate}", times=2)
    task = ask(prefork, "sleep 0")
    prefork.wait_for(task, "running")
    assert prefork.get(task)["phase"] == "loading_model"
    prefork.api.patch(f"/tasks/{task}/cancel")
    done = prefork.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "dequeued"
    gate.touch()


def test_what_runs_in_a_thread_cannot_be_stopped_and_keeps_its_slot(threads, tmp_path):
    gate = tmp_path / "gate"
    task = running(threads, f"wait-for {gate}")
    threads.api.patch(f"/tasks/{task}/cancel")
    done = threads.wait_for(task, "cancelled")
    assert done["cancellation"]["mode"] == "abandoned"
    wait_until(lambda: theirs(threads)["abandoned_tasks"] == 1, what="the slot to be shown as taken")
    gate.touch()
    wait_until(lambda: theirs(threads)["abandoned_tasks"] == 0, what="the slot to be free")
    assert threads.get(task) == done  # its late result changed nothing


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_an_execution_that_takes_too_long_fails_on_any_pool(stack, foreign, pool, tmp_path):
    next(with_pool(stack, foreign, pool))
    gate = tmp_path / "gate"
    task = ask(stack, f"wait-for {gate}", execution_timeout=1)
    done = stack.wait_for(task, "failed")
    gate.touch()
    assert (done["error"]["code"], done["attempt"]) == ("execution_timeout", 1)


# ---------------------------------------------------------------- losses


def test_the_task_of_a_killed_external_worker_is_tried_again(prefork, foreign):
    task = running(prefork, "sleep 3")
    foreign.kill_worker("prefork")
    foreign.start_worker("prefork")
    done = prefork.wait_for(task, "completed", seconds=60)
    assert done["attempt"] == 2
    first = prefork.attempts(task)[0]
    assert (first["outcome"], first["error"]["code"]) == ("failed", "worker_lost")


def test_a_dead_child_of_an_external_worker_costs_one_attempt(prefork):
    done = prefork.wait_for(ask(prefork, "die", max_attempts=2), "failed")
    assert (done["error"]["code"], done["attempt"]) == ("engine_crashed", 2)


def test_without_an_external_worker_tasks_wait_and_health_says_so(prefork, foreign):
    foreign.kill_worker("prefork")
    wait_until(lambda: theirs(prefork)["engine_state"] == "absent", 30, "the absence to be noticed")
    assert prefork.api.get("/tasks/workers/health").json()["status"] == "down"
    task = ask(prefork, "hello")
    time.sleep(0.5)
    assert prefork.get(task)["status"] == "pending"
    foreign.start_worker("prefork")
    assert prefork.wait_for(task, "completed", seconds=60)["attempt"] == 1


def test_their_broker_may_restart_in_between(prefork, foreign, tmp_path):
    gate = tmp_path / "gate"
    task = running(prefork, f"wait-for {gate}")
    foreign.kill_redis()
    time.sleep(0.5)
    foreign.start_redis()
    gate.touch()
    done = prefork.wait_for(task, "completed", seconds=60)
    assert done["attempt"] == 1
    wait_until(lambda: theirs(prefork)["engine_state"] == "ready", 30, "the pool to see its worker again")
    prefork.wait_for(ask(prefork, "hello"), "completed", seconds=60)


def test_a_result_that_comes_after_the_lease_was_lost_changes_nothing(prefork):
    """The adapter freezes, its lease runs out; the external worker finishes the first attempt meanwhile."""
    task = running(prefork, "sleep 2", max_attempts=1)
    prefork.processes["theirs"].send_signal(signal.SIGSTOP)
    done = prefork.wait_for(task, "failed")
    assert done["error"]["code"] == "worker_lost"
    time.sleep(1.5)
    prefork.processes["theirs"].send_signal(signal.SIGCONT)
    prefork.wait_for(ask(prefork, "hello"), "completed")  # it works again
    assert prefork.get(task) == done


def test_a_worker_of_ours_leaves_the_messages_of_their_queue_alone(prefork, foreign, tmp_path_factory):
    """On one broker: Baton's own worker next to the external ones, which alone consume `gpu_queue`."""
    url = prefork.servers.broker_url
    prefork.start_worker("w1", WORKER_KINDS="tts")
    prefork.start_external_pool(url, "shared", WORKER_KINDS="image_to_text")
    foreign.start_worker("beside", url=url)
    workers = lambda: prefork.api.get("/tasks/workers/stats").json()["workers"]  # noqa: E731
    try:
        wait_until(lambda: workers().get("shared", {}).get("engine_state") == "ready", 30, "the shared pool")
        wait_until(lambda: workers().get("w1", {}).get("engine_state") == "ready", 30, "our own worker")
        assert workers()["shared"]["gpus"][0]["name"] == "beside@plain (prefork 2)"
        prefork.processes["theirs"].send_signal(signal.SIGSTOP)
        wait_until(lambda: workers()["theirs"]["status"] != "online", what="the other pool to be late")
        tasks = [prefork.submit("image_to_text", input={"image": PNG_URL}) for _ in range(6)]
        done = [prefork.wait_for(task, "completed") for task in tasks]
        assert {(task["worker_id"], task["attempt"]) for task in done} == {("shared", 1)}
    finally:
        prefork.processes["theirs"].send_signal(signal.SIGCONT)
        for name in ("w1", "shared"):  # in good order, or health tells the next test of lost workers
            prefork.kill(name, signal.SIGTERM)
            prefork.processes[name].wait(20)
        foreign.kill_worker("beside")
