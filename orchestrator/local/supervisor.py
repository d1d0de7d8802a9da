"""Keeps programs running: starts them in groups, starts again whatever ends, and stops the groups in reverse order.

Called by `stack` from the main thread. Knows programs, not what they are for. It never gives up on one.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.local import leftovers
from orchestrator.local.console import Console
from orchestrator.local.errors import StartError
from orchestrator.local.program import Program, kill_group, spawn
from orchestrator.local.signals import Signals

FIRST_DELAY = 0.25  # seconds before a program that ended is started again; doubles with every end
LONGEST_DELAY = 10.0  # seconds
HEALTHY_AFTER = 60.0  # seconds; a program that ran for so long begins again with the first delay
LOOK_INTERVAL = 0.5  # seconds between two looks; the end of a child wakes us earlier


def restart_delay(ends: int) -> float:
    """Seconds to wait after the given number of ends in a row (1 is the first)."""
    return float(min(FIRST_DELAY * 2 ** min(ends - 1, 16), LONGEST_DELAY))


class Child:
    """A program that should be running, and what has become of it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.ends = 0  # in a row
        self.started_at = 0.0
        self.due_at = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.running else None

    def start(self, console: Console) -> None:
        self.started_at = time.monotonic()
        self.program.before_start()
        self.process = spawn(self.program, subprocess.PIPE)
        assert self.process.stdout is not None
        console.follow(self.program.name, self.process.stdout)

    def note_end(self) -> float:
        """Count the end; returns the seconds until the next start."""
        now = time.monotonic()
        self.ends = 1 if now - self.started_at >= HEALTHY_AFTER else self.ends + 1
        delay = restart_delay(self.ends)
        self.due_at = now + delay
        self.process = None
        return delay


class Supervisor:
    """Not for threads: children die with the thread that started them."""

    def __init__(self, console: Console, signals: Signals, record: Path) -> None:
        self._console = console
        self._signals = signals
        self._record = record
        self._groups: list[list[Child]] = []
        self._single: subprocess.Popen[bytes] | None = None
        leftovers.adopt_orphans()
        if count := leftovers.sweep(record):
            console.say(f"ended {count} processes of an earlier start that was killed")

    @property
    def stopping(self) -> bool:
        return self._signals.stop_requests > 0

    def start(self, *programs: Program) -> list[Child]:
        """Start a group; the group that is started last is stopped first."""
        group = [Child(program) for program in programs]
        self._groups.append(group)
        for child in group:
            child.start(self._console)
        self._note()
        return group

    def run(self, until: Callable[[], bool], interval: float = LOOK_INTERVAL) -> None:
        """Keep everything running until the condition holds or somebody asks us to stop."""
        while not self.stopping and not until():
            self._look()
            self._signals.wait(interval)

    def complete(self, program: Program) -> int | None:
        """Run a program to its end while the others are kept running; its exit status, None if we were stopped."""
        process = self._single = spawn(program, subprocess.PIPE)
        assert process.stdout is not None
        self._console.follow(program.name, process.stdout)
        self.run(until=lambda: process.poll() is not None)
        interrupted = process.poll() is None
        kill_group(process)
        process.wait()
        self._single = None
        return None if interrupted else process.returncode

    def stop(self) -> None:
        """Stop all groups, the last one first; a second request to stop kills what is left at once."""
        for group in reversed(self._groups):
            running = [child for child in group if child.running]
            for child in running:
                child.process.send_signal(child.program.stop_signal)  # type: ignore[union-attr]
            self._end(running)
            leftovers.kill_orphans(self._known())
        self._record.unlink(missing_ok=True)

    def _end(self, children: list[Child]) -> None:
        begun = time.monotonic()
        for child in sorted(children, key=lambda child: child.program.grace):
            assert child.process is not None
            self._wait_for(child.process, begun + child.program.grace)
            if child.process.poll() is None:
                self._console.say(f"{child.program.name} does not stop; killed")
            kill_group(child.process)
            child.process.wait()

    def _wait_for(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0 or self._signals.stop_requests > 1:
                return
            self._signals.wait(min(left, LOOK_INTERVAL))

    def _look(self) -> None:
        for child in self._children():
            if child.process is not None and not child.running:
                self._after_end(child, child.process)
            elif child.process is None and time.monotonic() >= child.due_at:
                self._start_again(child)

    def _after_end(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        kill_group(process)
        delay = child.note_end()
        leftovers.kill_orphans(self._known())
        self._console.say(f"{child.program.name} ended ({process.returncode}); starts again in {delay:g} s")

    def _start_again(self, child: Child) -> None:
        try:
            child.start(self._console)
        except (StartError, OSError) as error:
            delay = child.note_end()
            self._console.say(f"{child.program.name} cannot start: {error}; next try in {delay:g} s")
        self._note()

    def _children(self) -> list[Child]:
        return [child for group in self._groups for child in group]

    def _known(self) -> list[int]:
        """Our own children, also those whose end was not looked at yet."""
        processes = [self._single, *(child.process for child in self._children())]
        return [process.pid for process in processes if process is not None]

    def _note(self) -> None:
        running = [(child.pid, child.program.stop_signal) for child in self._children() if child.pid is not None]
        leftovers.record(self._record, running)
