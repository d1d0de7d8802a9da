"""Somebody else's Celery for tests: a Redis and plain workers as real processes, each killable and nothing of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from celery import Celery

from orchestrator.local import valkey
from orchestrator.local.program import kill_group, spawn
from tests.faults.stack import wait_until

HERE = Path(__file__).resolve().parent
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # 70 bytes


@dataclass
class Foreign:
    directory: Path
    redis: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return valkey.addresses(self.directory)["CELERY_BROKER_URL"]

    def start_redis(self) -> None:
        with (self.directory / "redis.log").open("ab") as log:
            self.redis = spawn(valkey.program(self.directory, self.directory, valkey.DURABLE), log)
        wait_until(lambda: valkey.is_ready(self.directory), what="the foreign Redis")

    def kill_redis(self) -> None:
        assert self.redis is not None
        self.redis.kill()
        self.redis.wait()

    def start_worker(self, name: str, pool: str = "prefork", slots: int = 2, url: str = "") -> None:
        command = ["celery", "-A", "plain_worker", "worker", "--hostname", f"{name}@plain", "--pool", pool]
        rest = ["--concurrency", str(slots), "--heartbeat-interval", "1", "--loglevel", "INFO"]
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        with (self.directory / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-m", *command, *rest], cwd=HERE, env=kept | {"PLAIN_URL": url or self.url},
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def kill_worker(self, name: str) -> None:
        """With its children, as when its machine is gone."""
        process = self.workers.pop(name)
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        for child in family:
            if child.is_running():
                child.kill()

    def send(self, prompt: str, times: int) -> None:
        """Work that is not ours, from a sender that is not ours."""
        arguments = {"task_id": "", "model": "", "input": {"prompt": prompt}, "parameters": {}}
        app = Celery("sender", set_as_current=False, fixups=[])
        with app.connection_for_write(self.url) as connection:
            for _ in range(times):
                options = {"queue": "gpu_queue", "ignore_result": True, "connection": connection}
                app.send_task("app.tasks.run_llm_inference", kwargs=arguments, **options)

    def stop(self) -> None:
        for name in list(self.workers):
            self.kill_worker(name)
        if self.redis is not None:
            self.redis.kill()
            self.redis.wait()
            kill_group(self.redis)


@contextmanager
def foreign_celery(directory: Path) -> Iterator[Foreign]:
    foreign = Foreign(directory)
    try:
        foreign.start_redis()
        yield foreign
    finally:
        foreign.stop()
