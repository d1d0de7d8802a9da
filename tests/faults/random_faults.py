"""Random faults for a stack of two workers, each whole again after some seconds."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psutil

from tests.faults.stack import Stack


class Faults:
    """One at a time. What was killed is started again at once, as a service manager would; what was frozen goes on."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack, self._random = stack, random.Random(seed)
        self.done: Counter[str] = Counter()
        self._kinds: dict[str, Callable[[], None]] = {
            **{f"kill {name}": partial(self._kill, name) for name in ("web", "scheduler", "w1", "w2")},
            "stop w2": partial(self._kill, "w2", signal.SIGTERM),
            "freeze w1": self._freeze_worker,
            "kill engine": self._kill_engine,
            "kill redis": partial(self._server, "redis"),
            "freeze redis": partial(self._frozen_server, "redis"),
            "kill postgres": partial(self._server, "postgres"),
            "freeze postgres": partial(self._frozen_server, "postgres"),
        }

    def inject(self) -> str:
        kind = self._random.choice(list(self._kinds))
        self._kinds[kind]()
        self.done[kind] += 1
        return kind

    def _kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        self._stack.kill(name, number)
        self._stack.processes[name].wait(30)
        if name == "w2":
            self._stack.start_worker(name)
        self._stack.revive()

    def _kill_engine(self) -> None:
        self._stack.kill_engine("w1")

    def _server(self, name: str) -> None:
        self._stack.kill_server(name)
        time.sleep(self._random.uniform(0, 3))
        self._stack.servers.start_again(name)

    def _frozen_server(self, name: str) -> None:
        self._stack.kill_server(name, signal.SIGSTOP)
        time.sleep(self._random.uniform(0, 5))
        self._stack.servers.kill(name, signal.SIGCONT)

    def _freeze_worker(self) -> None:
        """For two leases, so that its tasks run elsewhere before it comes back."""
        family = self._stack.family("w1")
        for process in family:
            process.suspend()
        time.sleep(3)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()
