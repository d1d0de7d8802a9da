"""A throw-away PostgreSQL and Redis for a test session: fast, empty, and gone with the process that started them.

Called by the tests' conftest, from the main thread.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from orchestrator.local import accounts, postgres, valkey
from orchestrator.local.errors import StartError
from orchestrator.local.program import kill_group, spawn

PREFIX = "baton-ephemeral-"
START_TIME = 30.0  # seconds
# Nothing here is worth an orderly stop; this one means "at once, with your own processes" to PostgreSQL.
IMMEDIATE = signal.SIGQUIT


class Ephemeral:
    """Addresses as in the settings of the same names; `stop` ends both servers and removes their files.

    `kill` and `start_again` are for tests of what survives: PostgreSQL keeps its rows, Redis forgets everything.
    """

    def __init__(self, directory: Path, logs: Path) -> None:
        self._directory, self._logs = directory, logs
        self._lock = (directory / "lock.new").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (directory / "lock.new").rename(directory / "lock")  # never seen by others without being held
        account = accounts.for_postgres()
        directory.chmod(0o711)  # PostgreSQL may run under another account
        sockets = directory / "sockets"
        sockets.mkdir(mode=0o700)
        if not account.is_ours:
            os.chown(sockets, account.uid, account.gid)
        self._cluster = postgres.locate(directory, sockets, account)
        self._programs = {
            "postgres": replace(postgres.program(self._cluster, postgres.VOLATILE), death_signal=IMMEDIATE),
            "redis": replace(valkey.program(directory, directory, valkey.VOLATILE), death_signal=signal.SIGKILL),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.database_url = postgres.address(sockets)["DATABASE_URL"]
        addresses = valkey.addresses(directory)
        self.broker_url, self.redis_url = addresses["CELERY_BROKER_URL"], addresses["REDIS_URL"]

    def start(self) -> None:
        postgres.create(self._cluster, "--no-sync")
        for name in self._programs:
            self.start_again(name)

    def start_again(self, name: str) -> None:
        """`postgres` or `redis`; returns when it answers."""
        program = self._programs[name]
        program.before_start()
        with (self._logs / f"{name}.log").open("ab") as log:
            process = self.processes[name] = spawn(program, log)
        _wait(process, lambda: self._is_ready(name, process.pid), Path(log.name))

    def _is_ready(self, name: str, pid: int) -> bool:
        return valkey.is_ready(self._directory) if name == "redis" else postgres.is_ready(self._cluster, pid)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """All of the server's processes get it: PostgreSQL's have a session each. After SIGKILL it has ended."""
        process = self.processes[name]
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # one that ended just now
                child.send_signal(number)
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()

    def stop(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is None:
                self.kill(name, signal.SIGCONT)
                process.send_signal(self._programs[name].death_signal)
        for process in self.processes.values():
            process.wait()
            kill_group(process)
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.close()


def start(logs: Path | None = None) -> Ephemeral:
    """Start both servers and wait until they answer; their logs go to `logs`, else away with their files.

    Raises:
        StartError: a server did not come up; the message holds its log.
    """
    _remove_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    servers = Ephemeral(directory, logs or directory)
    try:
        servers.start()
    except BaseException:
        servers.stop()
        raise
    return servers


def _remove_abandoned() -> None:
    """The files of sessions that were killed: nobody holds their lock."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        try:
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:  # in use, somebody else's, or just removed
            continue


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_TIME
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"{log.stem} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.01)
