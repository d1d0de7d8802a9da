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
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.local import accounts, postgres, valkey
from orchestrator.local.errors import StartError
from orchestrator.local.program import Program, kill_group, spawn

PREFIX = "baton-ephemeral-"
START_TIME = 30.0  # seconds
# Nothing here is worth an orderly stop; this one means "at once, with your own processes" to PostgreSQL.
IMMEDIATE = signal.SIGQUIT

Running = tuple[subprocess.Popen[bytes], signal.Signals]  # and what it gets when its time is over


@dataclass(frozen=True)
class Ephemeral:
    """Addresses as in the settings of the same names; `stop` ends both servers and removes their files."""

    database_url: str
    broker_url: str
    redis_url: str
    stop: Callable[[], None]


def start(logs: Path | None = None) -> Ephemeral:
    """Start both servers and wait until they answer; their logs go to `logs`, else away with their files.

    Raises:
        StartError: a server did not come up; the message holds its log.
    """
    _remove_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = (directory / "lock.new").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    (directory / "lock.new").rename(directory / "lock")  # never seen by others without being held
    processes: list[Running] = []

    def stop() -> None:
        for process, death_signal in processes:
            process.send_signal(death_signal)
        for process, _ in processes:
            process.wait()
            kill_group(process)
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()

    try:
        return _start(directory, logs or directory, processes, stop)
    except BaseException:
        stop()
        raise


def _start(directory: Path, logs: Path, processes: list[Running], stop: Callable[[], None]) -> Ephemeral:
    account = accounts.for_postgres()
    directory.chmod(0o711)  # PostgreSQL may run under another account

    def run(program: Program, death_signal: signal.Signals, is_ready: Callable[[int], bool]) -> None:
        with (logs / f"{program.name}.log").open("ab") as log:
            process = spawn(replace(program, death_signal=death_signal), log)
        processes.append((process, death_signal))
        _wait(process, lambda: is_ready(process.pid), Path(log.name))

    sockets = directory / "sockets"
    sockets.mkdir(mode=0o700)
    if not account.is_ours:
        os.chown(sockets, account.uid, account.gid)
    cluster = postgres.locate(directory, sockets, account)
    postgres.create(cluster, "--no-sync")
    run(postgres.program(cluster, postgres.VOLATILE), IMMEDIATE, lambda pid: postgres.is_ready(cluster, pid))
    broker_program = valkey.program(directory, directory, valkey.VOLATILE)
    run(broker_program, signal.SIGKILL, lambda _pid: valkey.is_ready(directory))
    broker = valkey.addresses(directory)
    return Ephemeral(postgres.address(sockets)["DATABASE_URL"], broker["CELERY_BROKER_URL"], broker["REDIS_URL"], stop)


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
