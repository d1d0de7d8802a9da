"""A whole Baton of real processes for tests: web, scheduler and workers on servers of its own, each killable."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psutil
import psycopg
import pytest

from orchestrator.local import ephemeral, listener
from tests import rabbitmq
from tests.faults import oracle, tally
from tests.faults.proxy import Proxy
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
        crash = {"CRASH_FILE": str(self._crash_order(name))}
        self.processes[name] = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.env | crash | env, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=tuple(pass_fds),
        )  # fmt: skip
        log.close()

    def start_web(self, **env: str) -> None:
        if self.listener is None:
            self.listener = listener.listen("127.0.0.1", 0)
        fd = self.listener.fileno()
        command = ["uvicorn", "orchestrator.asgi:application", "--fd", str(fd), "--lifespan", "off"]
        self.spawn(
            "web", "-m", *command, "--log-level", "warning", "--timeout-graceful-shutdown", "3", pass_fds=[fd], **env
        )

    def start_scheduler(self, name: str = "scheduler", **env: str) -> None:
        self.spawn(name, "manage.py", "run_scheduler", **env)

    def start_webhooks(self, name: str = "webhooks", **env: str) -> None:
        self.spawn(name, "manage.py", "run_webhooks", **env)

    def start_worker(self, name: str = "w1", slots: int = 4, **env: str) -> None:
        command = ["celery", "-A", "orchestrator", "worker", "--pool", "threads", "--concurrency", str(slots)]
        rest = ["--without-gossip", "--without-mingle", "--prefetch-multiplier", "1", "--loglevel", "INFO"]
        self.spawn(name, "-m", *command, "--hostname", f"{name}@test", *rest, **({"ENGINE_PRELOAD": "0"} | env))

    def start_external_pool(self, broker_url: str, name: str = "theirs", slots: int = 2, **env: str) -> None:
        """A worker of ours whose engine is the Celery at `broker_url`."""
        own = {"EXTERNAL_BROKER_URL": broker_url, "WORKER_EXTERNAL": "true"}
        self.start_worker(name, slots, **own, **env)

    def note_fault(self, kind: str, what: str) -> None:
        """For the count of `make faults`: kill, freeze, cut or crash, and of what."""
        tally.note("fault", f"{kind} {what}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        self.note_fault("kill", name)
        self._signal(name, number)

    def kill_server(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """`postgres` or `redis`; SIGSTOP freezes it until SIGCONT."""
        self.note_fault("kill", name)
        self.servers.kill(name, number)

    def stop_broker(self) -> None:
        """Killed; it forgets what is not on its disk, Redis everything."""
        self.note_fault("kill", "broker")
        self.rabbitmq.kill() if self.rabbitmq else self.servers.kill("redis")

    def start_broker(self) -> None:
        self.rabbitmq.start() if self.rabbitmq else self.servers.start_again("redis")

    def freeze_broker(self) -> None:
        self.note_fault("freeze", "broker")
        self.rabbitmq.freeze() if self.rabbitmq else self.servers.kill("redis", signal.SIGSTOP)

    def thaw_broker(self) -> None:
        self.rabbitmq.thaw() if self.rabbitmq else self.servers.kill("redis", signal.SIGCONT)

    def needs_redis(self) -> None:
        if self.rabbitmq is not None:
            pytest.skip("about Redis, and here is none")

    def kill_engine(self, worker: str = "w1") -> psutil.Process:
        self.note_fault("kill", "engine")
        engine = self.engine(worker)
        engine.kill()
        return engine

    def _signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait(10)

    def family(self, name: str) -> list[psutil.Process]:
        """The process and all that descends from it."""
        process = psutil.Process(self.processes[name].pid)
        return [process, *process.children(recursive=True)]

    def _crash_order(self, name: str) -> Path:
        return self.directory / f"{name}.crash"

    def crash_at(self, name: str, place: str) -> None:
        """From now on the process kills itself when it next comes by that place, once."""
        self.note_fault("crash", place)
        order = self._crash_order(name)
        unseen = order.with_suffix(".new")
        unseen.write_text(place)
        unseen.rename(order)

    def has_crashed(self, name: str) -> bool:
        """It came by the place of `crash_at`."""
        return not self._crash_order(name).exists()

    def died(self, name: str) -> bool:
        """By its own hand, at a crash point."""
        return self.processes[name].poll() == -signal.SIGKILL

    @contextmanager
    def behind_proxy(self, server: str) -> Iterator[tuple[Proxy, dict[str, str]]]:
        """A proxy before `postgres` or `redis`, and the settings that lead a process through it."""
        with tempfile.TemporaryDirectory(prefix="baton-proxy-") as directory:
            if server == "postgres":
                _, _, sockets = self.servers.database_url.partition("host=")
                name, env = ".s.PGSQL.5432", {"DATABASE_URL": f"postgresql://baton@/baton?host={directory}"}
                target = f"{sockets}/{name}"
            else:
                target = self.servers.redis_url.removeprefix("unix://").partition("?")[0]
                name = Path(target).name
                urls = {"CELERY_BROKER_URL": self.servers.broker_url, "REDIS_URL": self.servers.redis_url}
                env = {key: url.replace(target, f"{directory}/{name}") for key, url in urls.items()}
            with Proxy(f"{directory}/{name}", target) as proxy:
                yield proxy, env

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
        """One of each runs again, as they were started at first, and `w1` is the only worker."""
        for name, server in self.servers.processes.items():
            if server.poll() is not None:
                self.servers.start_again(name)
        for order in self.directory.glob("*.crash"):
            order.unlink(missing_ok=True)
        self.kill_guests()
        wait_until(self._is_whole, 60, f"{self.directory} to be ready")

    def kill_guests(self) -> None:
        """Whatever a test started beside the first three."""
        for name in [name for name in self.processes if name not in ("web", "scheduler", "w1")]:
            self._signal(name, signal.SIGKILL)
            del self.processes[name]

    def _is_whole(self) -> bool:
        self.revive()
        return self.is_ready(workers=1) and self._has_only_w1()

    def revive(self) -> None:
        """What has died of the first three is started again, as a service manager would."""
        starts = {"web": self.start_web, "scheduler": self.start_scheduler, "w1": self.start_worker}
        for name, start in starts.items():
            if self.processes[name].poll() is not None:
                start()

    def _has_only_w1(self) -> bool:
        """One that was just killed counts as online for a while."""
        beating = (
            "SELECT name FROM workers_app_worker WHERE stopped_at IS NULL AND heartbeat_at > now() - interval '0.5 s'"
        )
        return self.query(beating) == [("w1",)]

    def online_workers(self) -> int:
        return int(self.api.get("/tasks/workers/health").json()["online_workers"])

    def ready_engines(self) -> int:
        """Of online workers. One that is killed before it is ready costs its tasks nothing."""
        shown = self.api.get("/workers/").json()["results"]
        return sum(worker["status"] == "online" and worker["engine_state"] == "ready" for worker in shown)

    def is_ready(self, workers: int) -> bool:
        try:
            probe = "/readyz" if workers else "/healthz"  # without a worker it is not ready
            return self.api.get(probe).status_code == 200 and self.ready_engines() == workers
        except httpx.TransportError:
            return False

    def settle(self) -> None:
        """Everything runs, every task has ended, and the oracle has nothing to say."""
        self.restore()
        wait_until(self.all_ended, 60, "all tasks to end")
        oracle.check(self.servers.database_url, self.artifacts)
        if self.orphans():
            self.manage("collect_orphans", "--older-than", "0")
            assert not self.orphans()
        wait_until(lambda: not self.strays(), 10, f"no process to be left behind: {self.strays()}")

    @property
    def artifacts(self) -> Path:
        return self.directory / "data" / "artifacts"

    def orphans(self) -> set[str]:
        return oracle.orphans(self.servers.database_url, self.artifacts)

    def all_ended(self) -> bool:
        return self.query("SELECT count(*) FROM tasks_app_task WHERE completed_at IS NULL") == [(0,)]

    def query(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """For what the API does not tell."""
        with psycopg.connect(self.servers.database_url) as session:
            return session.execute(statement, values).fetchall()

    def strays(self) -> list[psutil.Process]:
        """What was started by this stack and belongs to none of its living processes."""
        family = {p.pid for name, p in self.processes.items() if p.poll() is None for p in self.family(name)}
        return [process for process in self.own_processes() if process.pid not in family]

    def kill_strays(self) -> None:
        """Of a test that failed, so that the next ones do not fail for it."""
        for stray in self.strays():
            with suppress(psutil.NoSuchProcess):
                stray.kill()

    def own_processes(self) -> Iterator[psutil.Process]:
        """All that were started by this stack, and by nobody else's beside it."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("DATA_DIR") == self.env["DATA_DIR"]:
                    yield process

    def manage(self, *command: str) -> None:
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=self.env, check=True, timeout=60)

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
            if simulate.get("fail"):
                self.note_fault("runner", simulate["fail"])
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

        try:
            wait_until(holds, seconds, f"{task_id} to be {sorted(wanted)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None
        return seen

    def attempts(self, task_id: str) -> list[dict[str, Any]]:
        return list(self.api.get(f"/tasks/{task_id}/attempts").json()["results"])

    def event_types(self, task_id: str) -> list[str]:
        rows = self.query("SELECT type FROM tasks_app_taskevent WHERE task_id = %s ORDER BY seq", task_id)
        return [event_type for (event_type,) in rows]

    def long_task(self, seconds: float = 1.5, **values: object) -> str:
        """Submitted, and at work in an engine."""
        task = self.submit(simulate={"seconds": seconds, "steps": int(seconds * 20), **values})
        self.at_work(task)
        return task

    def at_work(self, task_id: str) -> None:
        """Claimed alone is not enough: an engine that is just starting has nothing to lose yet."""
        wait_until(lambda: self.get(task_id)["phase"] == "inference", 30, f"{task_id} to be in inference")


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
        stack.manage(*command)
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
