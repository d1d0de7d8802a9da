"""Whether the process that started us still wants us: `make` passes SIGTERM on to what it runs, but not SIGINT.

Used by `stack` with --follow-parent, which the Makefile gives. Without it (under systemd, nohup, in a container) the
parent is nobody's business.
"""

import os
import signal
from pathlib import Path


class Parent:
    """The parent at the time of the call."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._caught_interrupts = self._catches_interrupts()

    def is_gone(self) -> bool:
        """Whether it died, or got an interrupt: make then takes its handler away and waits for us, for ever."""
        return os.getppid() != self._pid or (self._caught_interrupts and not self._catches_interrupts())

    def _catches_interrupts(self) -> bool:
        """Only Linux can tell."""
        try:
            status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
        return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)
