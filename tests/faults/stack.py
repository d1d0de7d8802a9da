"""A whole Baton of real processes for tests: web, scheduler and workers on servers of its own, each killable."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from orchestrator.local import ephemeral, listener
from tests import rabbitmq
from tests.faults import tally
from tests.rabbitmq import RabbitMQ
from tests.servers import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
FINAL = {"completed", "failed", "cancelled", "expired"}


def wait_until(holds: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """The first true value of `holds`; a test that waits in vain says for what."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what or holds}"
        time.sleep(0.02)
    return value


@dataclass
class Stack:
    directory: Path
    env: dict[str, str]
    servers: ephemeral.Ephemeral
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    listener: socket.socket | None = None
    api: httpx.Client = field(default_factory=httpx.Client)
    rabbitmq: RabbitMQ | None = None

    # ------------------------------------------------------------ processes

    def spawn(self, name: str, *command: str, pass_fds: Iterable[int] = (), **env: str) -> None:
        log = (self.directory / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.env | env, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=tuple(pass_fds),
        )  # fmt: skip
        log.close()

    def start_web(self) -> None:
        if self.listener is None:
            self.listener = listener.listen("127.0.0.1", 0)
        fd = self.listener.fileno()
        command = ["uvicorn", "orchestrator.asgi:application", "--fd", str(fd), "--lifespan", "off"]
        self.spawn("web", "-m", *command, "--log-level", "warning", "--timeout-graceful-shutdown", "3", pass_fds=[fd])

    def start_scheduler(self, name: str = "scheduler") -> None:
        self.spawn(name, "manage.py", "run_scheduler")

    def start_worker(self, name: str = "w1", slots: int = 4, **env: str) -> None:
        command = ["celery", "-A", "orchestrator", "worker", "--pool", "threads", "--concurrency", str(slots)]
        rest = ["--without-gossip", "--without-mingle", "--prefetch-multiplier", "1", "--loglevel", "INFO"]
        self.spawn(name, "-m", *command, "--hostname", f"{name}@test", *rest, **({"ENGINE_PRELOAD": "0"} | env))

    def note_fault(self, kind: str, what: str) -> None:
        """For the count of `make faults`: kill, freeze, cut or crash, and of what."""
        tally.note("fault", f"{kind} {what}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        self.note_fault("kill", name)
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait(10)

    def engine(self, worker: str = "w1") -> psutil.Process:
        """The engine process proper: the child of the guard that the worker started."""
        return wait_until(lambda: self._engine(worker), what="the engine")

    def _engine(self, worker: str) -> psutil.Process | None:
        for process in psutil.Process(self.processes[worker].pid).children(recursive=True):
            command = process.cmdline()
            if "gpu_worker.engine" in command and process.ppid() != self.processes[worker].pid:
                return process
        return None

    def restore(self) -> None:
        """One of each runs again, and `w1` is the only worker."""
        for name in [name for name in self.processes if name not in ("web", "scheduler", "w1")]:
            self.kill(name)
            del self.processes[name]
        starts = {"web": self.start_web, "scheduler": self.start_scheduler, "w1": self.start_worker}
        for name, start in starts.items():
            if self.processes[name].poll() is not None:
                start()
        wait_until(lambda: self.is_ready(workers=1), 60, f"the stack to be ready; logs in {self.directory}")

    def online_workers(self) -> int:
        return int(self.api.get("/tasks/workers/health").json()["online_workers"])

    def is_ready(self, workers: int) -> bool:
        try:
            return self.api.get("/readyz").status_code == 200 and self.online_workers() == workers
        except httpx.TransportError:
            return False

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        self.api.close()
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.listener is not None:
            self.listener.close()
        if self.rabbitmq is not None:
            self.rabbitmq.stop()
        self.servers.stop()

    # ------------------------------------------------------------ the API

    def submit(self, task_type: str = "llm", **values: Any) -> str:
        """A simulated task unless `model` says otherwise; the id."""
        simulate = values.pop("simulate", None)
        values.setdefault("model", "simulated")
        values.setdefault("input", {"text": "Hello."} if task_type == "tts" else {"prompt": "Hello"})
        if simulate is not None:
            values.setdefault("parameters", {})["simulate"] = simulate
        response = self.api.post("/tasks/", json={"task_type": task_type, **values})
        assert response.status_code == 201, response.text
        return str(response.json()["task_id"])

    def get(self, task_id: str) -> dict[str, Any]:
        response = self.api.get(f"/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait_for(self, task_id: str, *statuses: str, seconds: float = 30.0) -> dict[str, Any]:
        """The task once it has one of the statuses (any final one if none is named)."""
        wanted = set(statuses) or FINAL
        seen: dict[str, Any] = {}

        def holds() -> bool:
            seen.update(self.get(task_id))
            assert seen["status"] in wanted or seen["status"] not in FINAL, seen
            return seen["status"] in wanted

        wait_until(holds, seconds, f"{task_id} to be {sorted(wanted)}, is {seen.get('status')}")
        return seen


@contextmanager
def running_stack(directory: Path, *, workers: int = 1, slots: int = 4, **env: str) -> Iterator[Stack]:
    """Everything started and ready: the web answers, a scheduler leads, the workers are online."""
    broker = os.environ.get("BATON_TEST_BROKER", "redis")
    if broker == "rabbitmq" and rabbitmq.scripts() is None:
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    node = rabbitmq.RabbitMQ().start() if broker == "rabbitmq" else None
    servers = ephemeral.start(directory)
    environment = os.environ | SETTINGS | {
        "DATABASE_URL": servers.database_url,
        "CELERY_BROKER_URL": node.url if node else servers.broker_url,
        "REDIS_URL": "" if node else servers.redis_url,  # with RabbitMQ there is no Redis at all
        "SECRET_KEY": "tests-only-" + "x" * 40,
        "DATA_DIR": str(directory / "data"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "default",
    } | env  # fmt: skip
    stack = Stack(directory, environment, servers, rabbitmq=node)
    try:
        _start(stack, workers, slots)
        yield stack
    finally:
        stack.stop()


def _start(stack: Stack, workers: int, slots: int) -> None:
    for command in (["migrate", "--noinput", "-v", "0"], ["bootstrap"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=stack.env, check=True, timeout=60)
    credentials = json.loads((stack.directory / "data" / "credentials.json").read_text())
    stack.start_web()
    stack.start_scheduler()
    for number in range(1, workers + 1):
        stack.start_worker(f"w{number}", slots)
    assert stack.listener is not None
    stack.api = httpx.Client(
        base_url=f"http://127.0.0.1:{stack.listener.getsockname()[1]}",
        headers={"Authorization": f"Bearer {credentials['api_key']}"},
        timeout=30,
    )
    wait_until(lambda: stack.is_ready(workers), 60, f"the stack to be ready; logs in {stack.directory}")
