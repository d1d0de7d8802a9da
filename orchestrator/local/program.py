"""One program: how it is started and how it is stopped; and the act of starting it, tied to the life of this process.

Called by `supervisor` and `ephemeral`. Knows nothing of restarts or of what the program does.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from orchestrator.local.accounts import Account

LAUNCHER = Path(__file__).with_name("launch.py")


def _nothing() -> None:
    """The default of `Program.before_start`."""


@dataclass(frozen=True)
class Program:
    """`grace` is the seconds it may take to stop; `before_start` runs before each start and may raise StartError."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL  # what it gets when we die without having stopped it
    grace: float = 5.0
    umask: int = 0o022
    account: Account = field(default_factory=lambda: Account(os.getuid(), os.getgid()))
    inherited: tuple[int, ...] = ()  # file descriptors
    before_start: Callable[[], None] = _nothing


def spawn(program: Program, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that a Ctrl-C at the terminal reaches only us.

    The kernel watches the calling *thread*: call this from the main thread, or the program dies with the thread.
    """
    return subprocess.Popen(
        _tied_command(program),
        env=program.environment,
        cwd=program.directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=program.inherited,
    )


def run(program: Program, text: str) -> subprocess.CompletedProcess[str]:
    """Start it in the same way, hand it the text, and wait for its end; what it says is in `stdout`."""
    return subprocess.run(
        _tied_command(program),
        env=program.environment,
        cwd=program.directory,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _tied_command(program: Program) -> list[str]:
    numbers = (program.death_signal, os.getpid(), program.umask, program.account.uid, program.account.gid)
    return [sys.executable, "-I", "-S", str(LAUNCHER), *(str(int(number)) for number in numbers), *program.command]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to whatever is left in the program's session; the program itself may be gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        return  # macOS says so of a group in which only zombies are left
