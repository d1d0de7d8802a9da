"""Processes that outlive their parent: of an earlier start that was killed, and of a child that has just died.

Called by `supervisor`. A process is recognised by its id *and* start time: the id alone may be somebody else's by now.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PATIENCE = 10.0  # seconds for a leftover to stop by itself
LOOK_INTERVAL = 0.02  # seconds
SAME_START = 1.0  # seconds; two readings of one start time differ by less


def adopt_orphans() -> None:
    """From now on the orphans among our descendants become our children, where the system can do that (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans(known: Iterable[int]) -> None:
    """Kill every child of ours that is not known: its own parent died. Its children come to us in turn."""
    known = set(known)
    while orphans := [child for child in psutil.Process().children() if child.pid not in known]:
        for orphan in orphans:
            try:
                orphan.kill()
                os.waitpid(orphan.pid, 0)
            except (psutil.NoSuchProcess, ChildProcessError):
                continue


def record(path: Path, running: Iterable[tuple[int, signal.Signals]]) -> None:
    """Note the process ids of children and how each is asked to stop."""
    entries = []
    for pid, stop_signal in running:
        try:
            entries.append({"pid": pid, "started": psutil.Process(pid).create_time(), "signal": int(stop_signal)})
        except psutil.NoSuchProcess:
            continue
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(entries), encoding="ascii")
    unfinished.replace(path)


def sweep(path: Path) -> int:
    """End what is still alive of an earlier start; returns how many there were. The caller holds the lock."""
    try:
        entries = json.loads(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0
    found = [process for entry in entries for process in _ask_to_stop(entry)]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(_is_alive(process) for process in found):
        time.sleep(LOOK_INTERVAL)
    for process in found:
        if _is_alive(process):
            process.kill()
    path.unlink()
    return len(found)


def _ask_to_stop(entry: Mapping[str, Any]) -> list[psutil.Process]:
    """The recorded process and its descendants, once it has its signal; nothing if it is somebody else by now."""
    try:
        process = psutil.Process(entry["pid"])
        if not _is_alive(process) or abs(process.create_time() - entry["started"]) > SAME_START:
            return []
        family = [process, *process.children(recursive=True)]
        process.send_signal(entry["signal"])
    except psutil.NoSuchProcess:
        return []
    return family


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is not: in a container whose first process does not reap, it stays for ever."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
