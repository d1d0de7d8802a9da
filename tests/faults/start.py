"""One `make run` with its real processes, for tests: started, looked into, killed in part or whole, cleaned up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from orchestrator.local.configuration import PROJECT

START = (sys.executable, "-m", "orchestrator.local")
STOP_TIME = 15.0  # seconds; what the manual promises
PARTS = {  # what tells the processes apart in their command lines
    "web": "uvicorn",
    "scheduler": "run_scheduler",
    "webhooks": "run_webhooks",
    "worker": "celery",
    "redis": "redis.sock",
    "postgres": "unix_socket_directories=",
}


def wait_for(what: str, holds: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Start:
    """One `make run` by a person who has set DATA_DIR and nothing else but what is given."""

    def __init__(self, data_dir: Path, command: tuple[str, ...] = START, **settings: str) -> None:
        self.data_dir = data_dir
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        # Empty addresses: those of the test session's servers must not reach it, nor those of a .env file.
        clean = {"DATABASE_URL": "", "CELERY_BROKER_URL": "", "REDIS_URL": "", "PORT": "0", "WORKERS": "0"}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=kept | clean | {"DATA_DIR": str(data_dir), "TMPDIR": str(data_dir.parent)} | settings,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever the test did, nothing stays on the machine."""
        if self.process.poll() is None:
            self.look_at_family()
            self.process.kill()
            self.process.wait()
        wait_for("the family's end", lambda: not self.alive())
        self._output.close()

    def output(self) -> str:
        self._output.seek(0)
        return self._output.read()

    def url(self) -> str:
        wait_for("the address", lambda: self.process.poll() is None and "starting on http" in self.output(), 20)
        found = re.search(r"starting on (http://\S+),", self.output())
        assert found
        return found[1]

    def answers(self, path: str = "/healthz") -> bool:
        try:
            with urllib.request.urlopen(self.url() + path, timeout=30) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def wait_until_up(self) -> Self:
        wait_for("the web process", lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, self.output()
        self.look_at_family()
        return self

    def wait_until_ready(self) -> Self:
        """With a worker online."""
        self.wait_until_up()
        wait_for("the worker", lambda: self.answers("/readyz"))
        wait_for("the greeting", lambda: "Paste this" in self.output())
        self.look_at_family()
        return self

    def look_at_family(self) -> None:
        self.family = [
            psutil.Process(self.process.pid),
            *psutil.Process(self.process.pid).children(recursive=True),
        ]

    def alive(self) -> list[psutil.Process]:
        return [process for process in self.family if is_alive(process)]

    def part(self, name: str) -> psutil.Process | None:
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(PARTS[name] in argument for argument in process.cmdline()):
                    return process
            except psutil.Error:
                continue
        return None

    def stop(self, number: int = signal.SIGINT) -> int:
        """The exit status; asserts that it took no longer than promised and that nothing is left."""
        self.look_at_family()
        begun = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(STOP_TIME)
        left = STOP_TIME - (time.monotonic() - begun)
        wait_for("the family's end", lambda: not self.alive(), left)
        return status
