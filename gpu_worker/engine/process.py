"""The worker's side of an engine process: start it, talk to it, kill it. Knows no Django, no tasks and no restarts.

One EngineProcess is one process; who wants another engine makes another EngineProcess.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from gpu_worker.engine.protocol import Cancel, Command, Load, ModelSpec, Report, Submit

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]  # where `python -m gpu_worker.engine` is found
SEND_TIMEOUT = 5  # seconds; an engine that has not read its pipe for so long is as good as dead
EXIT_TIMEOUT = 10.0  # seconds for the guard to clean up after the pipe is closed, before the whole group is killed

_generations = itertools.count(1)


class EngineGone(Exception):
    """The engine is not there (any more); nothing was submitted."""


class EngineProcess:
    """`on_report` and `on_exit` are called by the reader thread, `on_exit` once, last, with the exit status
    (negative: the signal that ended it). Every method may be called from any thread.
    """

    def __init__(
        self,
        on_report: Callable[[Report], None],
        on_exit: Callable[[int], None],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._on_report = on_report
        self._on_exit = on_exit
        self._env = env  # added to our own
        self._sending = threading.Lock()
        self._gone = True
        self._exited = threading.Event()
        self.generation = next(_generations)  # tells one engine of this worker from the next

    def start(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT, 0))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gpu_worker.engine", "--fd", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, **(self._env or {})},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal is the worker's business
            )
        self._connection = Connection(os.dup(self._socket.fileno()))
        self._gone = False
        threading.Thread(target=self._read, name=f"engine-{self.generation}", daemon=True).start()

    def submit(self, request: Submit) -> None:
        """Raises EngineGone."""
        self._send(request)

    def cancel(self, request_id: str) -> None:
        """Raises EngineGone."""
        self._send(Cancel(request_id))

    def load(self, models: Sequence[ModelSpec]) -> None:
        """Raises EngineGone."""
        self._send(Load(tuple(models)))

    def kill(self) -> None:
        """Everything dies at once: the engine, whatever it started, however it hid. Returns without waiting."""
        self._gone = True
        self._shut(socket.SHUT_RDWR)  # the guard sees the hang-up and kills; the reader makes sure of it

    def stop(self, timeout: float) -> None:
        """Tell it to end, which it does at once whatever runs; kill it after `timeout` seconds."""
        self._gone = True
        self._shut(socket.SHUT_WR)
        if not self._exited.wait(timeout):
            self.kill()
            self._exited.wait(EXIT_TIMEOUT)

    @property
    def alive(self) -> bool:
        """Takes requests, as far as is known."""
        return not self._gone

    @property
    def pid(self) -> int:
        """Of the guard, which leads the process group. The engine's own is in `Ready`."""
        return self._process.pid

    def _send(self, command: Command) -> None:
        try:
            with self._sending:
                if self._gone:
                    raise EngineGone(f"engine {self.generation} has ended")
                self._connection.send(command)
        except OSError as error:  # broken pipe; or the time-out, with half a command in the pipe
            self.kill()
            raise EngineGone(f"engine {self.generation} does not take commands: {error}") from error

    def _read(self) -> None:
        with suppress(EOFError, OSError):  # the end of the pipe, however it came
            while True:
                self._report(self._connection.recv())
        self._gone = True
        code = self._wait()
        self._connection.close()
        self._socket.close()
        self._exited.set()
        self._on_exit(code)

    def _report(self, report: Report) -> None:
        try:
            self._on_report(report)
        except Exception:  # the boundary to the worker: its mistake over one report must not deafen it to the next
            log.exception("a report of engine %d was not handled: %r", self.generation, report)

    def _wait(self) -> int:
        self._shut(socket.SHUT_RDWR)
        try:
            return self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def _shut(self, how: int) -> None:
        with suppress(OSError):  # already closed: then it is what we wanted
            self._socket.shutdown(how)
