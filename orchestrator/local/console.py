"""What the processes say: every line to the terminal, with the name of its process, and to a file of that process.

Called by `supervisor` and `ready`. A terminal that is stopped (Ctrl-S) or gone never holds up a process: its lines are
left out there, and are in the file.
"""

import os
import queue
import threading
from contextlib import closing
from pathlib import Path
from typing import IO, TextIO

LONGEST_LINE = 64 * 1024  # bytes; a longer one is broken
LARGEST_FILE = 10 * 1024 * 1024  # bytes; then it becomes the .1 file, in place of the one before
LINES_WAITING = 5_000  # for the terminal
NAME_WIDTH = 9
COLOURS = ("36", "32", "35", "33", "34", "96", "92", "95", "93", "94")  # ANSI foregrounds that read on black and white
CLOSING_TIME = 2.0  # seconds for the last lines


class LogFile:
    """One process's file; it never grows beyond twice `LARGEST_FILE`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._failed = False

    def write(self, line: bytes) -> str | None:
        """Append the line; a reason when that begins to fail (the disk is full), and only then."""
        try:
            if self._file.tell() > LARGEST_FILE:
                self._rotate()
            self._file.write(line)
        except OSError as error:
            reason = None if self._failed else f"{self._path} cannot be written: {error.strerror}"
            self._failed = True
            return reason
        self._failed = False
        return None

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file.close()
        self._file = self._path.open("ab", buffering=0)


class Console:
    """`say` and `show` are for Baton's own words, `follow` for the output of a process."""

    def __init__(self, terminal: TextIO, logs: Path) -> None:
        self._terminal = terminal
        self._logs = logs
        self._coloured = terminal.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, str] = {}
        self._lines: queue.Queue[str | None] = queue.Queue(LINES_WAITING)
        self._left_out = 0
        self._readers: list[threading.Thread] = []
        self._writer = threading.Thread(target=self._write, name="console", daemon=True)
        self._writer.start()

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        self._put(self._prefixed("baton", text))

    def show(self, block: str) -> None:
        """Text as it is, without a name before it, so that it can be copied."""
        self._put(block)

    def follow(self, name: str, pipe: IO[bytes]) -> None:
        """Take every line from the pipe until its other end is closed."""
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        reader = threading.Thread(target=self._read, args=(name, pipe), name=f"log of {name}", daemon=True)
        reader.start()
        self._readers.append(reader)

    def close(self) -> None:
        """Show what was said until now."""
        for reader in self._readers:
            reader.join(CLOSING_TIME)
        self._put(None)
        self._writer.join(CLOSING_TIME)

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with pipe, closing(LogFile(self._logs / f"{name}.log")) as log:
            while line := pipe.readline(LONGEST_LINE):
                complaint = log.write(line)
                if complaint:
                    self.say(complaint)
                text = line.decode("utf-8", errors="replace").rstrip()
                if text:
                    self._put(self._prefixed(name, text))

    def _prefixed(self, name: str, text: str) -> str:
        label = f"{name:<{NAME_WIDTH}} │ "
        if not self._coloured:
            return label + text
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{label}\x1b[0m{text}\x1b[0m"

    def _put(self, line: str | None) -> None:
        try:
            self._lines.put(line, block=line is None, timeout=CLOSING_TIME if line is None else None)
        except queue.Full:
            self._left_out += 1

    def _write(self) -> None:
        gone = False
        while (line := self._lines.get()) is not None:
            if self._left_out:
                line = f"{line}\n({self._left_out} lines left out here; see {self._logs})"
                self._left_out = 0
            if not gone:
                gone = not self._print(line)

    def _print(self, line: str) -> bool:
        """False once the terminal is closed: there is nobody left to tell."""
        try:
            self._terminal.write(line + "\n")
            self._terminal.flush()
        except UnicodeEncodeError:  # a terminal that speaks ASCII or Latin-1
            return self._print(line.encode("ascii", errors="replace").decode("ascii"))
        except (OSError, ValueError):
            return False
        return True
