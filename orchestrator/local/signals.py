"""Requests to stop, and the ends of child processes, as one thing that the main loop can wait for.

Used by `stack` and `supervisor`, in the main thread only. Handlers do nothing but count: no work is done in them.
"""

import os
import select
import signal
from types import FrameType
from typing import Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Entered once; inside, `wait` sleeps until something happens."""

    def __init__(self) -> None:
        self.stop_requests = 0  # the second one means: now

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_child)
        for number in STOP_SIGNALS:
            # nohup ignores SIGHUP on purpose; a shell ignores SIGINT for what it starts with &, and that one we want.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_stop)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, *STOP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Sleep for so long, or until the next signal; one that came since the last call counts too."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            os.read(self._reader, 4096)

    def request_stop(self) -> None:
        self.stop_requests += 1

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.request_stop()

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        """Only here so that the signal is not ignored and wakes `wait`."""
