"""Hours in minutes: steady work and a random fault every half minute. `python -m tests.faults.soak` runs it.

At the end the oracle speaks over every task, and nothing may have grown: memory, open files, sessions of the database,
dead rows, keys in Redis. Exit status 1 if something did.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import httpx
import psutil
import psycopg
import redis

from tests.faults.random_faults import Faults
from tests.faults.stack import Stack, running_stack

RATE = 4.0  # tasks per second, each about a quarter of a second on one of eight slots
SAMPLE_EVERY = 10.0  # seconds
WARM_UP = 0.25  # of the run, left out of the comparison: caches and pools fill
GROWTH = 1.25  # the second half's median over the first one's, at most; and what is too little to count:
NEGLIGIBLE = {"memory_mib": 40, "open_files": 40, "sessions": 6, "dead_rows": 4_000, "redis_keys": 20}
SETTINGS = {"STALL_SECONDS": "3", "WORKER_DRAIN_SECONDS": "0.5"}
KINDS = [None] * 12 + ["error", "die", "hang", "ignore_cancel", "grandchild"]


@dataclass(frozen=True, slots=True)
class Sample:
    memory_mib: float  # resident, of all our processes and engines
    open_files: int
    sessions: int  # of the database
    dead_rows: int
    redis_keys: int


def measure(stack: Stack) -> Sample | None:
    """None while something is being started again."""
    try:
        living = [process for name in stack.processes for process in stack.family(name)]
        [(dead, sessions)] = stack.query(
            "SELECT (SELECT sum(n_dead_tup)::int FROM pg_stat_user_tables), (SELECT count(*) FROM pg_stat_activity)"
        )
        with redis.Redis.from_url(stack.servers.redis_url, socket_timeout=2) as client:
            keys = int(client.dbsize())
        memory = sum(process.memory_info().rss for process in living) / 2**20
        return Sample(memory, sum(process.num_fds() for process in living), sessions, dead, keys)
    except (psutil.Error, redis.RedisError, psycopg.Error):
        return None


class Load(threading.Thread):
    """A client with good manners: what got no answer is asked again with the same key. One task in ten is cancelled."""

    def __init__(self, stack: Stack, seed: int) -> None:
        super().__init__(name="load", daemon=True)
        self._stack, self._random = stack, random.Random(seed)
        self._over = threading.Event()
        self.accepted: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._stack.api.base_url, headers=self._stack.api.headers, timeout=20) as client:
            while not self._over.wait(self._random.expovariate(RATE)):
                self.accepted.append(self._submit(client))
                if self._random.random() < 0.1:
                    self._insist(lambda: client.patch(f"/tasks/{self._random.choice(self.accepted[-20:])}/cancel"))

    def _submit(self, client: httpx.Client) -> str:
        fail = self._random.choice(KINDS)
        simulate = {"seconds": self._random.uniform(0.0, 0.5), "steps": 5, "fail": fail, "fail_attempts": 1}
        body = {
            "task_type": "llm",
            "model": "simulated",
            "input": {"prompt": "x"},
            "parameters": {"simulate": simulate},
        }
        key = {"Idempotency-Key": str(self._random.getrandbits(64))}
        answer = self._insist(lambda: client.post("/tasks/", json=body, headers=key))
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["task_id"])

    def _insist(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        while True:
            try:
                if (answer := ask()).status_code != 503:
                    return answer
            except httpx.TransportError:
                pass  # the web process is being started again
            time.sleep(0.2)

    def stop(self) -> None:
        self._over.set()
        self.join(60)


def growth(samples: list[Sample]) -> dict[str, tuple[float, float]]:
    """What grew too much: its median in the first half after the warm-up and in the second."""
    settled = samples[int(len(samples) * WARM_UP) :]
    half = len(settled) // 2
    grown = {}
    for number, field in enumerate(fields(Sample)):
        before, after = (
            statistics.median(astuple(s)[number] for s in part) for part in (settled[:half], settled[half:])
        )
        if after > before * GROWTH and after - before > NEGLIGIBLE[field.name]:
            grown[field.name] = (before, after)
    return grown


def soak(stack: Stack, seconds: float, every: float, seed: int) -> tuple[list[str], list[Sample], Counter[str]]:
    load, faults, samples = Load(stack, seed), Faults(stack, seed), []
    load.start()
    began = time.monotonic()
    next_fault = began + every
    while (now := time.monotonic()) < began + seconds:
        if now >= next_fault:
            print(f"{now - began:6.0f} s  {faults.inject()}", flush=True)
            next_fault = time.monotonic() + every
        stack.revive()
        if sample := measure(stack):
            samples.append(sample)
        time.sleep(SAMPLE_EVERY)
    load.stop()
    return load.accepted, samples, faults.done


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help="between two faults (default 30)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="which faults, in which order")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="baton-soak-") as folder:
        Path(folder).chmod(0o755)
        with running_stack(Path(folder), workers=2, **SETTINGS) as stack:
            accepted, samples, done = soak(stack, chosen.minutes * 60, chosen.every, chosen.seed)
            stack.settle()
            kept = {str(task) for (task,) in stack.query("SELECT id FROM tasks_app_task")}
            ends = Counter(dict(stack.query("SELECT status, count(*) FROM tasks_app_task GROUP BY status")))
    lost = set(accepted) - kept
    grown = growth(samples)
    print(f"{len(accepted)} tasks accepted, {len(lost)} lost; ended: {dict(ends)}")
    print(f"{sum(done.values())} faults: {dict(done)}")
    for when, sample in (("first", samples[0]), ("last", samples[-1])):
        print(f"{when}: {asdict(sample)}")
    print(f"grown: {grown or 'nothing'}")
    return 1 if lost or grown else 0


if __name__ == "__main__":
    sys.exit(main())
