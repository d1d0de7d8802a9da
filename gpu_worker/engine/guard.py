"""A small process between the worker and the engine that leaves nothing behind, whoever dies first and however.

Forked before anything is imported or threaded. It lives as long as both live; when the worker's end of the pipe is
gone, or the engine has ended, it kills everything that descends from the engine and ends with the engine's status.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PARENT_POLL_MS = 1000  # how soon a dead worker is noticed if somebody else holds its end of the pipe open
CLEANUP_TIMEOUT = 5.0  # seconds; a process in uninterruptible sleep cannot be killed, and must not keep us


def stand_guard(fd: int) -> None:
    """Returns in a child process, which goes on as the engine. The calling process never returns."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service manager signals all of us; only the worker decides
    worker = os.getppid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans become ours, however they hide
    guard = os.getpid()
    engine = os.fork()
    if engine == 0:
        _die_with(guard)
        return
    threading.Thread(target=_kill_when_worker_is_gone, args=(fd, worker, engine), daemon=True).start()
    _, status = os.waitpid(engine, 0)
    _kill_descendants()
    _end_like(os.waitstatus_to_exitcode(status))


def _die_with(guard: int) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:  # it died before the line above
        os._exit(1)


def _kill_when_worker_is_gone(fd: int, worker: int, engine: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # only the hang-up, which is reported always; what is sent is for the engine
    while not poll.poll(PARENT_POLL_MS) and os.getppid() == worker:
        pass
    with suppress(ProcessLookupError):  # it saw the end of the pipe itself, and was quicker
        os.kill(engine, signal.SIGKILL)


def _kill_descendants() -> None:
    give_up_at = time.monotonic() + CLEANUP_TIMEOUT
    while time.monotonic() < give_up_at:
        descendants = psutil.Process().children(recursive=True)
        if not descendants:
            return
        for process in descendants:
            _kill(process)
        _reap()


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _reap() -> None:
    """Collect the dead, so that they are no longer listed."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return
    time.sleep(0.005)


def _end_like(code: int) -> None:
    if code < 0:  # killed by a signal: so are we, for the worker to see
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
