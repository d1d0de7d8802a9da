"""Named places in the code where a test lets a process kill itself. Called between two steps that a crash may part.

Nothing happens unless the environment variable CRASH_AT names the place: `finish.after_commit` dies there the first
time, `finish.after_commit:3` the third. With CRASH_ONCE naming a file, only the first process to come by dies; the next
start of the same process goes on. CRASH_FILE names a file that may hold a place at any time: who comes by there takes
the file away and dies, so a process can be told while it runs.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from itertools import count
from pathlib import Path

_place, _, _number = os.environ.get("CRASH_AT", "").partition(":")
_dies_at = int(_number or 1)
_passes = count(1)
_order = os.environ.get("CRASH_FILE")


def reach(place: str) -> None:
    if (place == _place and next(_passes) == _dies_at and _is_first()) or (_order and _is_told(place, Path(_order))):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_told(place: str, order: Path) -> bool:
    with suppress(FileNotFoundError):  # nobody is told to die, or another thread was quicker
        if order.read_text() == place:
            order.unlink()
            return True
    return False


def _is_first() -> bool:
    mark = os.environ.get("CRASH_ONCE")
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
