"""Everything that can die dies in turn, under load, and every task still ends in exactly one final state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.faults import oracle
from tests.faults.stack import FINAL
from tests.faults.start import Start, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
TASKS = 200
VICTIMS = ["engine", "worker", "scheduler", "redis", "web", "postgres"]
QUICK = {"HEARTBEAT_INTERVAL": "0.3", "LEASE_SECONDS": "2", "CLAIM_TIMEOUT": "1", "ENGINE_PRELOAD": "0"}


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    with Start(data_dir, WORKERS="1", RETRY_BACKOFF_SECONDS="0.1", **QUICK) as start:
        yield start.wait_until_ready()


@pytest.fixture
def client(start: Start) -> Iterator[httpx.Client]:
    key = json.loads((start.data_dir / "credentials.json").read_text())["api_key"]
    with httpx.Client(base_url=start.url(), headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


def insist(client: httpx.Client, method: str, path: str, **values: object) -> httpx.Response:
    """As a client with good manners: a 503 while the database is being started again is asked once more."""
    answers: list[httpx.Response] = []

    def answered() -> bool:
        try:
            answers.append(client.request(method, path, **values))  # type: ignore[arg-type]
        except httpx.TransportError:
            return False
        return answers[-1].status_code != 503

    wait_for(f"an answer to {method} {path}", answered)
    return answers[-1]


def victim(start: Start, name: str) -> psutil.Process:
    if name != "engine":
        process = start.part(name)
        assert process is not None, name
        return process
    for process in psutil.Process(start.process.pid).children(recursive=True):
        if "gpu_worker.engine" in process.cmdline() and "gpu_worker.engine" in process.parent().cmdline():  # type: ignore[union-attr]
            return process
    raise AssertionError("no engine")


def database_url(start: Start) -> str:
    command = " ".join(victim(start, "postgres").cmdline())
    found = re.search(r"unix_socket_directories=(\S+)", command)
    assert found
    return f"postgresql://baton@/baton?host={found[1]}"


def test_every_accepted_task_ends_once_whatever_is_killed(start, client):
    body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "x"}, "max_attempts": 10}
    body["parameters"] = {"simulate": {"seconds": 0.3, "steps": 3}}
    accepted = []
    for number in range(TASKS):
        response = insist(client, "POST", "/tasks/", json=body)
        assert response.status_code == 201, response.text
        accepted.append(response.json()["task_id"])
        if number % (TASKS // len(VICTIMS)) == 10:
            name = VICTIMS[number // (TASKS // len(VICTIMS))]
            victim(start, name).kill()
    ended: dict[str, str] = {}

    def all_ended() -> bool:
        for task in accepted:
            if task not in ended:
                status = insist(client, "GET", f"/tasks/{task}").json()["status"]
                if status not in FINAL:
                    return False
                ended[task] = status
        return True

    wait_for("all tasks to end", all_ended, 120)
    assert set(ended.values()) == {"completed"}
    assert oracle.check(database_url(start), start.data_dir / "artifacts") >= TASKS
    assert start.stop() == 0
