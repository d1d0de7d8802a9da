"""Every process dies at every named place in the code under work of all kinds, and is started again: nothing is lost.

FAULT_SEEDS=20 tries so many different works and pairings of places; everyday it is one.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle, islice
from random import Random
from threading import Event, Thread
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.faults.stack import ROOT, Stack, wait_until

SEEDS = int(os.environ.get("FAULT_SEEDS", "1"))


def around(*transitions: str) -> list[str]:
    return [f"{name}.{side}_commit" for name in transitions for side in ("before", "after")]


PLACES = {  # which kind of process passes there
    "web": around("submit", "submit_batch", "request_cancel", "bulk_retry", "retry_batch", "change_priority"),
    "scheduler": [*around("dispatch", "take_back", "rescue", "expire"), "send.after_publish"],
    "w1": [*around("claim", "finish", "rescue_from_earlier"), "store.after_files"],
}
ELSEWHERE = {"webhook.after_post", *around("claim_due", "settle", "resend")}  # test_webhooks kills their process
LOST_WORKER = {*around("take_back", "rescue")}  # only passed after a worker went silent
NEXT_LIFE = {*around("rescue_from_earlier")}  # only passed by a worker that was killed at work, when it starts again


def test_the_sweep_knows_every_place_in_the_code():
    sources = [
        path.read_text() for app in ("tasks_app", "gpu_worker", "workers_app") for path in (ROOT / app).rglob("*.py")
    ]
    named = {name for source in sources for name in re.findall(r'crash_points\.reach\("([\w.]+)"\)', source)}
    transitions = {name for source in sources for name in re.findall(r"@in_one_commit\ndef (\w+)", source)}
    swept = {place for places in PLACES.values() for place in places}
    assert named | set(around(*transitions)) == swept | ELSEWHERE


def trios(seed: int) -> list[dict[str, str]]:
    """Each place at least once, three at a time, one for each kind of process."""
    shuffled = {name: Random(f"{seed} {name}").sample(places, len(places)) for name, places in PLACES.items()}
    longest = max(map(len, PLACES.values()))
    columns = [islice(cycle(places), longest) for places in shuffled.values()]
    return [dict(zip(PLACES, trio, strict=True)) for trio in zip(*columns, strict=True)]


CASES = [(seed, trio) for seed in range(SEEDS) for trio in trios(seed)]


@pytest.mark.faults
@pytest.mark.parametrize(("seed", "trio"), CASES, ids=[f"{seed}-{'-'.join(trio.values())}" for seed, trio in CASES])
def test_a_crash_of_each_process_at_a_named_place_loses_nothing(stack, seed, trio):
    random = Random(f"{seed} {trio}")
    with supervised(stack):
        for name, place in trio.items():
            stack.crash_at(name, place)
        while not all(stack.has_crashed(name) for name in ("web", "w1")):
            if trio["w1"] in NEXT_LIFE and not stack.has_crashed("w1"):
                kill_the_worker_at_work(stack)
            work(stack, random)
        if trio["scheduler"] in LOST_WORKER:
            lose_the_worker_until(stack, lambda: stack.has_crashed("scheduler"))
        while not stack.has_crashed("scheduler"):
            work(stack, random)


def work(stack: Stack, random: Random) -> None:
    """Some of everything, at moments that nobody chose."""
    client = Client(stack)
    tasks = [client.submit(*kind_of_task(random)) for _ in range(random.randint(4, 10))]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    client.submit("llm", run_at=tomorrow.isoformat(), start_timeout=1)  # expires
    failing = {"simulate": {"fail": "error", "fail_attempts": 10}}
    batch = client.submit_batch(random.randint(1, 3), parameters=failing, max_attempts=1)
    client.raise_priority(client.submit("llm", run_at=tomorrow.isoformat(), start_timeout=1))
    for task in random.sample(tasks, 2):
        time.sleep(random.uniform(0, 0.2))
        client.cancel(task)
    client.retry(tasks)
    client.retry_batch(batch)
    with suppress(AssertionError):  # a task without an end is for `settle` to judge
        wait_until(lambda: all(map(client.has_ended, tasks)), 2)


def kind_of_task(random: Random) -> tuple[str, dict[str, object]]:
    fault = random.choice([None, None, None, "error", "die"])
    return random.choice(["llm", "tts", "stable_diffusion"]), {"seconds": random.uniform(0, 0.4), "fail": fault}


def lose_the_worker_until(stack: Stack, happened: Callable[[], bool]) -> None:
    """It freezes with one task at work and another under way to it, for longer than a lease; then it is back."""
    client = Client(stack)
    while not happened():
        wait_until(lambda: client.has_worker(), 30, "the worker to be online")
        running = client.submit("llm", {"seconds": 1.0})
        wait_until(partial(client.was_placed, running), 30, f"{running} to be placed")
        frozen = stack.family("w1")
        each(frozen, psutil.Process.suspend)
        client.submit("llm")
        with suppress(AssertionError):
            wait_until(happened, 6)
        each(frozen, psutil.Process.resume)


def kill_the_worker_at_work(stack: Stack) -> None:
    """The scheduler is frozen until the next life: on a busy machine its rescue would come before that, every time."""
    client = Client(stack)
    wait_until(client.has_worker, 30, "the worker to be online")
    task = client.submit("llm", {"seconds": 30.0})
    wait_until(lambda: client.get(task)["status"] == "running", 30, f"{task} to run")
    scheduler = stack.processes["scheduler"]  # or what is left of it
    scheduler.send_signal(signal.SIGSTOP)
    stack.processes["w1"].kill()
    client.cancel(task)
    with suppress(AssertionError):
        wait_until(lambda: stack.has_crashed("w1"), 30)
    scheduler.send_signal(signal.SIGCONT)


def each(processes: list[psutil.Process], change: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            change(process)


@contextmanager
def supervised(stack: Stack) -> Iterator[None]:
    """Whatever dies is started again, as a service manager would."""
    over = Event()

    def watch() -> None:
        while not over.wait(0.05):
            stack.revive()

    watcher = Thread(target=watch, name="supervisor")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


class Client:
    """With good manners: it asks again when the web process dies under its request."""

    def __init__(self, stack: Stack) -> None:
        self._api = stack.api

    def submit(self, task_type: str, simulate: dict[str, object] | None = None, **values: object) -> str:
        """The id; max_attempts is high because a crash of the worker costs one."""
        given = {"text": "Hello."} if task_type == "tts" else {"prompt": "Hello"}
        body = {"task_type": task_type, "model": "simulated", "input": given, "max_attempts": 10, **values}
        body["parameters"] = {
            "simulate": {name: value for name, value in (simulate or {}).items() if value is not None}
        }
        # The key keeps a web process that dies after the commit from leaving a second task that nobody knows.
        key = {"Idempotency-Key": str(uuid4())}
        return str(self._ask("POST", "/tasks/", 200, 201, json=body, headers=key).json()["task_id"])

    def submit_batch(self, number: int, **values: object) -> str:
        body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "Hello"}, "max_attempts": 10, **values}
        return str(self._ask("POST", "/tasks/batch/", 201, json={"tasks": [body] * number}).json()["batch_id"])

    def retry_batch(self, batch_id: str) -> None:
        """Those of its tasks that have failed by now."""
        self._ask("POST", f"/tasks/batch/{batch_id}/retry", 200)

    def raise_priority(self, task_id: str) -> None:
        """Of one that waits; it may expire meanwhile."""
        self._ask("PATCH", f"/tasks/{task_id}", 200, 409, json={"priority": 10})

    def retry(self, task_ids: list[str]) -> None:
        """Those that have ended."""
        self._ask("POST", "/tasks/bulk/retry", 200, json={"ids": task_ids})

    def cancel(self, task_id: str) -> None:
        self._ask("PATCH", f"/tasks/{task_id}/cancel", 200, 202, 409)

    def get(self, task_id: str) -> dict[str, object]:
        return dict(self._ask("GET", f"/tasks/{task_id}", 200).json())

    def was_placed(self, task_id: str) -> bool:
        return self.get(task_id)["status"] != "pending"

    def has_ended(self, task_id: str) -> bool:
        return self.get(task_id)["completed_at"] is not None

    def has_worker(self) -> bool:
        return bool(self._ask("GET", "/tasks/workers/health", 200).json()["online_workers"])

    def _ask(self, method: str, path: str, *wanted: int, **values: object) -> httpx.Response:
        answers: list[httpx.Response] = []

        def answered() -> bool:
            with suppress(httpx.TransportError):
                answers.append(self._api.request(method, path, **values))  # type: ignore[arg-type]
            return bool(answers) and answers[-1].status_code != 503

        wait_until(answered, 30, f"an answer to {method} {path}")
        assert answers[-1].status_code in wanted, answers[-1].text
        return answers[-1]
