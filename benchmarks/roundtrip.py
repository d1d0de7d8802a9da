"""Submit to result over HTTP, a no-op task on the simulated runner, beside plain Celery in the same run.

    python -m benchmarks.roundtrip [--tasks 1000] [--clients 16]

Starts servers and processes of its own (web, scheduler, one worker with 8 slots). Prints one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.faults.stack import FINAL, Stack, running_stack, wait_until

BODY = {
    "task_type": "llm",
    "model": "simulated",
    "input": {"prompt": "x"},
    "parameters": {"simulate": {"seconds": 0, "steps": 1}},
}
SLOTS = 8


async def one(client: httpx.AsyncClient) -> float:
    """Seconds from the first byte of the submit to the last of the result."""
    begin = time.perf_counter()
    task = (await client.post("/tasks/", json=BODY)).raise_for_status().json()
    while task["status"] not in FINAL:
        task = (await client.get(f"/tasks/{task['task_id']}?wait=10&until=end")).raise_for_status().json()
    assert task["status"] == "completed", task
    return time.perf_counter() - begin


async def many(count: int, clients: int, run: Callable[[], Awaitable[float]]) -> tuple[list[float], float]:
    """Latencies, and the seconds it all took, with `clients` at work at once."""
    left = iter(range(count))

    async def client() -> list[float]:
        return [await run() for _ in left]

    begin = time.perf_counter()
    latencies = [latency for each in await asyncio.gather(*(client() for _ in range(clients))) for latency in each]
    return latencies, time.perf_counter() - begin


def figures(latencies: list[float], seconds: float) -> dict[str, float]:
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "p50_ms": round(quantiles[49] * 1000, 1),
        "p95_ms": round(quantiles[94] * 1000, 1),
        "p99_ms": round(quantiles[98] * 1000, 1),
        "tasks_per_second": round(len(latencies) / seconds, 1),
    }


async def measure_baton(stack: Stack, tasks: int, clients: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=stack.api.base_url, headers=stack.api.headers, timeout=60, limits=limits
    ) as client:
        await many(50, 1, lambda: one(client))  # warm
        single = figures(*await many(200, 1, lambda: one(client)))
        return {"one_client": single, f"{clients}_clients": figures(*await many(tasks, clients, lambda: one(client)))}


def measure_plain_celery(stack: Stack, tasks: int, clients: int) -> dict[str, Any]:
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.plain_celery",
        "worker",
        "-P",
        "threads",
        "-c",
        str(SLOTS),
    ]
    code = (
        "import json,sys\n"
        "from benchmarks import roundtrip\n"
        f"print(json.dumps(roundtrip.plain_celery({tasks}, {clients})))"
    )
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": stack.env}
    with subprocess.Popen([*worker, "--without-gossip", "--without-mingle"], **quiet) as process:
        try:
            out = subprocess.run(
                [sys.executable, "-c", code], env=stack.env, capture_output=True, text=True, check=True
            )
        finally:
            process.terminate()
    return dict(json.loads(out.stdout))


def plain_celery(tasks: int, clients: int) -> dict[str, Any]:
    """Runs in a process of its own, because a process has one current Celery application."""
    from benchmarks.plain_celery import nothing

    def one_task(_: int) -> float:
        begin = time.perf_counter()
        nothing.delay().get(timeout=60)
        return time.perf_counter() - begin

    wait_until(lambda: one_task(0), 30)
    begin = time.perf_counter()
    single = [one_task(n) for n in range(200)]
    single_seconds = time.perf_counter() - begin
    with ThreadPoolExecutor(clients) as pool:
        begin = time.perf_counter()
        latencies = list(pool.map(one_task, range(tasks)))
    return {
        "one_client": figures(single, single_seconds),
        f"{clients}_clients": figures(latencies, time.perf_counter() - begin),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    # the settings of production, not of the tests
    product = {"HEARTBEAT_INTERVAL": "2", "LEASE_SECONDS": "10", "SCHEDULER_INTERVAL": "1", "CLAIM_TIMEOUT": "5"}
    with (
        tempfile.TemporaryDirectory() as directory,
        running_stack(Path(directory), slots=SLOTS, LOG_LEVEL="WARNING", **product) as stack,
    ):
        baton = asyncio.run(measure_baton(stack, options.tasks, options.clients))
        for name in ("web", "scheduler", "w1"):
            stack.kill(name)
        plain = measure_plain_celery(stack, options.tasks, options.clients)
    for name, result in (("Baton over HTTP", baton), ("Celery + Redis backend, no HTTP", plain)):
        for clients, row in result.items():
            print(f"{name:34} {clients:11} " + "  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps({"baton": baton, "plain_celery": plain}))


if __name__ == "__main__":
    main()
