"""`manage.py check_orchestration` against real processes: what it says when all is well, and of what is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stack import ROOT, Stack, running_stack, wait_until

pytestmark = pytest.mark.faults
NO_DATABASE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}  # the command must not need one
TYPES = ["llm", "stable_diffusion", "tts", "image_to_text"]
LINE = re.compile(r"(?P<mark>[✓✗–]) (?P<name>[a-z_ ]+?)  +(?P<detail>.*)")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("check")) as stack:
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    yield shared
    shared.restore()


def check(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Address by argument, since the stack's port is its own; the key from credentials.json unless it is given."""
    words = ["check_orchestration", *arguments]
    if "--url" not in arguments:
        words += ["--url", str(stack.api.base_url)]
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=stack.env | NO_DATABASE, capture_output=True, text=True
    )


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """(mark, detail) by the name of the check."""
    matches = [match for line in done.stdout.splitlines() if (match := LINE.fullmatch(line))]
    return {match["name"]: (match["mark"], match["detail"]) for match in matches}


def bootstrap(stack: Stack, **env: str) -> None:
    command = [sys.executable, "manage.py", "bootstrap"]
    subprocess.run(command, cwd=ROOT, env=stack.env | env, check=True, capture_output=True, timeout=60)


def kill_worker(stack: Stack) -> None:
    """And wait until that is noticed, so that nobody mistakes it for one that lives."""
    stack.kill("w1")
    wait_until(lambda: stack.online_workers() == 0, what="the worker to be missed")


def tasks(stack: Stack, status: str = "") -> list[dict[str, Any]]:
    return list(stack.api.get("/tasks/", params={"status": status} if status else {}).json()["results"])


def test_all_is_well_with_the_shipped_models_and_nothing_is_left_behind(stack: Stack) -> None:
    before = tasks(stack)
    done = check(stack, "--load", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    found = lines(done)
    assert {mark for mark, _ in found.values()} == {"✓"}
    for task_type, words in zip(TYPES, ["baton-chat: '", "image/png", "audio/wav", "baton-caption: '"], strict=True):
        assert words in found[task_type][1]
    assert found["same seed"][1].endswith(", ".join(TYPES))
    assert "running → completed" in found["live"][1]
    assert "(cooperative)" in found["cancel"][1]
    assert re.search(r"20 tasks, 8 clients: \d+ tasks/s, median \d+ ms, p95 \d+ ms", found["load"][1])
    assert tasks(stack) == before


def test_machines_get_one_object_with_the_numbers(stack: Stack) -> None:
    done = check(stack, "--simulated", "--json", "--load", "10", "--keep")
    document = json.loads(done.stdout)
    assert (done.returncode, document["passed"]) == (0, True)
    facts = {one["name"]: one["facts"] for one in document["checks"]}
    assert facts["load"]["tasks"] == 10
    assert 0 < facts["load"]["median_seconds"] <= facts["load"]["p95_seconds"]
    assert {facts[task_type]["model"] for task_type in TYPES} == {"simulated"}
    assert facts["statistics"]["completed_tasks"] >= len(TYPES) * 2 + 10
    assert len(tasks(stack)) >= len(TYPES) * 2 + 10


def test_a_wrong_key_is_told_and_the_rest_is_skipped(stack: Stack) -> None:
    done = check(stack, "--api-key", "baton_aaaaaaaa_" + "x" * 43)
    found = lines(done)
    assert done.returncode == 1
    assert found["web"][0] == found["worker"][0] == "✓"
    assert found["key"][0] == "✗"
    assert "401" in found["key"][1]
    assert {found[name][0] for name in (*TYPES, "live", "cancel", "load")} == {"–"}


def test_an_address_where_nobody_answers_ends_with_status_2(stack: Stack) -> None:
    done = check(stack, "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert lines(done)["web"] == ("✗", "http://127.0.0.1:1 does not answer: [Errno 111] Connection refused")
    assert "make run" in done.stdout


def test_a_killed_worker_is_missed_by_name(stack: Stack) -> None:
    kill_worker(stack)
    done = check(stack)
    found = lines(done)
    assert done.returncode == 1
    assert found["worker"] == ("✗", "0 online")
    assert found["workers"][0] == "✗"
    assert "w1 is l" in found["workers"][1]  # late, and lost a little later
    assert found["llm"] == ("–", "skipped: needs what failed above (worker)")


def test_an_engine_that_does_not_start_is_told_though_its_worker_lives(stack: Stack) -> None:
    kill_worker(stack)
    stack.start_worker("w1", ENGINE_THREADS="none")
    wait_until(lambda: stack.online_workers() == 1, 60, "the worker")
    done = check(stack)
    kill_worker(stack)
    found = lines(done)
    assert done.returncode == 1
    assert found["worker"][0] == "✓"
    assert found["workers"][0] == "✗"
    assert "no engine is ready: w1 on no device yet" in found["workers"][1]
    assert found["llm"][1] == "skipped: needs what failed above (workers)"


def test_a_broker_that_is_away_is_told(stack: Stack) -> None:
    reachable = stack.env["CELERY_BROKER_URL"]
    stack.env["CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    try:
        stack.kill("web")
        stack.start_web()
        wait_until(lambda: stack.api.get("/readyz").status_code == 503, what="the web process")
        done = check(stack)
    finally:
        stack.env["CELERY_BROKER_URL"] = reachable
        stack.kill("web")
    assert done.returncode == 1, done.stdout
    assert lines(done)["broker"][0] == "✗"
    assert "CELERY_BROKER_URL" in done.stdout


def test_a_task_that_finds_every_slot_busy_is_told_so(stack: Stack) -> None:
    busy = [stack.submit(simulate={"seconds": 300, "steps": 3000}) for _ in range(4)]
    for task in busy:
        stack.wait_for(task, "running")
    done = check(stack, "--simulated", "--timeout", "1", "--load", "0")
    for task in busy:
        stack.api.delete(f"/tasks/{task}?force=true")
    assert done.returncode == 1
    assert lines(done)["tts"] == ("✗", "stuck in pending for 1 s: all 4 slots are busy")
    assert not tasks(stack, "pending")


def test_a_type_that_no_worker_runs_is_told_so(stack: Stack) -> None:
    kill_worker(stack)
    stack.start_worker("w1", WORKER_KINDS="llm,stable_diffusion,image_to_text")
    wait_until(lambda: stack.is_ready(workers=1), 60, "the worker")
    done = check(stack, "--simulated", "--timeout", "3", "--load", "0")
    kill_worker(stack)
    found = lines(done)
    assert done.returncode == 1
    assert found["tts"] == ("✗", "POST /tasks/ is answered 422: No worker runs tasks of type tts.")
    assert "WORKER_KINDS" in done.stdout
    assert found["llm"][0] == "✓"


def test_a_model_that_does_not_load_is_told_with_its_reason(stack: Stack, tmp_path: Path) -> None:
    catalogue = tmp_path / "models.toml"
    (tmp_path / "empty").mkdir()
    catalogue.write_text('[[model]]\nname = "broken"\ntask_type = "llm"\nsource = "empty"\ndefault = true\n')
    bootstrap(stack, MODELS_FILE=str(catalogue))
    try:
        done = check(stack, "--load", "0")
    finally:
        bootstrap(stack)
    mark, detail = lines(done)["llm"]
    assert (done.returncode, mark) == (1, "✗")
    assert detail.startswith("model_load_failed: broken: ")
    assert "MODELS_FILE" in done.stdout


def test_without_simulated_models_what_needs_them_is_skipped(stack: Stack) -> None:
    bootstrap(stack, SIMULATED_MODELS="false")
    try:
        done = check(stack, "--simulated")
    finally:
        bootstrap(stack)
    found = lines(done)
    assert done.returncode == 0
    assert {found[name][0] for name in (*TYPES, "live", "cancel", "load")} == {"–"}
    assert "SIMULATED_MODELS=false" in found["cancel"][1]
