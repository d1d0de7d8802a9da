"""Kill the leading scheduler with -9, again and again: how long until a task that is submitted right then is placed?

    python -m benchmarks.failover [--kills 20]

Two schedulers at the default settings: the leader is killed, the other takes over, and the dead one comes back as the
stand-by. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import redis

from tasks_app.hints import WAKE
from tests.faults.stack import Stack, running_stack, wait_until

DEFAULTS = {"SCHEDULER_INTERVAL": "1", "LEASE_SECONDS": "10", "HEARTBEAT_INTERVAL": "2", "CLAIM_TIMEOUT": "5"}


def listening(stack: Stack) -> int:
    """Schedulers that have started, leading or standing by."""
    with redis.Redis.from_url(stack.servers.redis_url) as client:
        [(_, count)] = client.pubsub_numsub(WAKE)
        return int(count)


def fail_over(stack: Stack, leader: str) -> float:
    """Seconds from the kill until a task that was submitted after it is placed."""
    wait_until(lambda: listening(stack) == 2, 30, "a stand-by")
    time.sleep(random.uniform(1, 2))  # any moment of the stand-by's second between two looks
    begin = time.perf_counter()
    stack.kill(leader)
    task = stack.submit(simulate={"seconds": 0})
    wait_until(lambda: stack.get(task)["dispatched_at"], 30, "the task to be placed")
    seconds = time.perf_counter() - begin
    stack.start_scheduler(leader)
    stack.wait_for(task, "completed")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="baton-failover-") as folder:
        Path(folder).chmod(0o755)
        with running_stack(Path(folder), **DEFAULTS) as stack:
            names = ["scheduler", "stand-by"]
            wait_until(lambda: listening(stack) == 1, 30, "the leader")
            stack.start_scheduler(names[1])
            seconds = [fail_over(stack, names[number % 2]) for number in range(kills)]
    figures = {"median": statistics.median(seconds), "longest": max(seconds)}
    print(json.dumps({"kills": kills} | {f"{name}_seconds": round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
