"""A thousand idle event streams and a hundred busy ones on one web process, and how late a token comes over HTTP.

    python -m benchmarks.streams [--idle 1000] [--busy 100] [--seconds 10]

Starts servers and processes of its own (web, scheduler, one worker). Prints one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from gpu_worker.engine.process import EngineProcess
from gpu_worker.engine.protocol import Finished, ModelSpec, Progress, Ready, Report, Submit
from tests.faults.stack import Stack, running_stack, wait_until

FIRST_TOKENS = 50  # tasks one after the other
SHORT = {"seconds": 0.2, "steps": 20}
PROMPT = {"prompt": "tell me " * 20}


def body(simulate: dict[str, float], **more: Any) -> dict[str, Any]:
    return {"task_type": "llm", "model": "simulated", "input": PROMPT, "parameters": {"simulate": simulate}, **more}


def quantiles(seconds: Iterable[float]) -> dict[str, float]:
    found = statistics.quantiles(seconds, n=100)
    return {f"p{n}_ms": round(found[n - 1] * 1000, 1) for n in (50, 95, 99)}


# ---------------------------------------------------------------- streams


class Streams:
    """Open sockets that read events; `ages` are seconds from the worker's word to its arrival here."""

    def __init__(self, stack: Stack) -> None:
        self._port, self._key = stack.api.base_url.port, stack.api.headers["Authorization"]
        self.ages: list[float] = []
        self.opened = 0

    async def follow(self, task_id: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = f"GET /tasks/{task_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {self._key}\r\n\r\n"
        writer.write(request.encode())
        try:
            while line := await reader.readline():
                self._hear(line)
        finally:
            writer.close()

    def _hear(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            now = time.time()
            event = json.loads(line[5:])
            self.opened += event["type"] == "task.created"
            if "n" in event:
                self.ages.append(now - datetime.fromisoformat(event["at"]).timestamp())


@asynccontextmanager
async def following(streams: Streams, task_ids: list[str]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(streams.follow(task_id)) for task_id in task_ids]
    wanted = streams.opened + len(task_ids)
    while streams.opened < wanted:
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Costs:
    """What a process used between two moments."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.start()

    def start(self) -> None:
        self._began, self._used = time.monotonic(), sum(self._process.cpu_times()[:2])

    def cpu_percent(self) -> float:
        """Of one core."""
        return round(100 * (sum(self._process.cpu_times()[:2]) - self._used) / (time.monotonic() - self._began), 1)

    def memory_mib(self) -> float:
        return round(self._process.memory_info().rss / 2**20, 1)


async def measure_streams(stack: Stack, idle: int, busy: int, seconds: float) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=stack.api.base_url, headers=stack.api.headers, timeout=60) as client:
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        waiting = await batch(client, [body(SHORT, run_at=tomorrow)] * idle)
        costs = {name: Costs(psutil.Process(stack.processes[name].pid)) for name in ("web", "w1")}
        redis = Costs(psutil.Process(stack.servers.processes["redis"].pid))
        before = costs["web"].memory_mib()
        streams = Streams(stack)
        async with following(streams, waiting):
            costs["web"].start()
            await asyncio.sleep(seconds)
            figures: dict[str, Any] = {
                "idle_streams": idle,
                "web_memory_mib_before_and_with_them": [before, costs["web"].memory_mib()],
                "web_cpu_percent_idle": costs["web"].cpu_percent(),
            }
            at_work = await batch(client, [body({"seconds": seconds * 3 + 20, "steps": 1000})] * busy)
            async with following(streams, at_work):
                while len(streams.ages) < busy * 5:
                    await asyncio.sleep(0.1)
                for each in (*costs.values(), redis):
                    each.start()
                streams.ages.clear()
                await asyncio.sleep(seconds)
                pieces = len(streams.ages)
                figures |= {
                    "busy_streams": busy,
                    "pieces_per_second": round(pieces / seconds),
                    "web_cpu_percent": costs["web"].cpu_percent(),
                    "worker_cpu_percent": costs["w1"].cpu_percent(),
                    "redis_cpu_percent": redis.cpu_percent(),
                    "web_memory_mib": costs["web"].memory_mib(),
                    "from_the_workers_word_to_the_client": quantiles(streams.ages),
                }
        return figures


async def batch(client: httpx.AsyncClient, tasks: list[dict[str, Any]]) -> list[str]:
    made = (await client.post("/tasks/batch/", json={"tasks": tasks})).raise_for_status().json()
    return [str(task_id) for task_id in made["task_ids"]]


# ---------------------------------------------------------------- the first token


def first_tokens_over_http(stack: Stack) -> dict[str, Any]:
    """From the submit to its first text, and of that what is spent after the worker knew it."""
    whole, after = [], []
    for _ in range(FIRST_TOKENS):
        began = time.time()
        with stack.api.stream("POST", "/tasks/", json=body(SHORT), headers={"Accept": "text/event-stream"}) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and "text" in (event := json.loads(line[5:]))["data"]:
                    now = time.time()
                    whole.append(now - began)
                    after.append(now - datetime.fromisoformat(event["at"]).timestamp())
                    break
    return {"submit_to_first_text": quantiles(whole), "worker_to_client": quantiles(after)}


def first_tokens_in_the_engine() -> dict[str, float]:
    """From handing a request to an engine process to its first text, without anything around it."""
    heard: queue.SimpleQueue[Report] = queue.SimpleQueue()
    engine = EngineProcess(heard.put, lambda code: None, {"ENGINE_PRELOAD": "0"})
    engine.start()
    took = []
    try:
        while not isinstance(heard.get(timeout=60), Ready):
            continue
        with tempfile.TemporaryDirectory() as directory:
            for number in range(FIRST_TOKENS):
                began = time.monotonic()
                model = ModelSpec("simulated", "llm", "simulated")
                engine.submit(Submit(str(number), model, PROMPT, {"simulate": SHORT}, directory))
                while not isinstance(heard.get(timeout=60), Progress):
                    continue
                took.append(time.monotonic() - began)
                while not isinstance(heard.get(timeout=60), Finished):
                    continue
    finally:
        engine.kill()
    return quantiles(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--busy", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    # the settings of production, not of the tests
    product = {"HEARTBEAT_INTERVAL": "2", "LEASE_SECONDS": "10", "SCHEDULER_INTERVAL": "1", "CLAIM_TIMEOUT": "5"}
    with (
        tempfile.TemporaryDirectory() as directory,
        running_stack(Path(directory), slots=options.busy, LOG_LEVEL="WARNING", **product) as stack,
    ):
        wait_until(lambda: stack.ready_engines() == 1, 60)
        alone = first_tokens_in_the_engine()
        over_http = first_tokens_over_http(stack)
        streams = asyncio.run(measure_streams(stack, options.idle, options.busy, options.seconds))
    figures = {"first_text_in_the_engine": alone, "first_text_over_http": over_http, **streams}
    for name, value in figures.items():
        print(f"{name:40} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
