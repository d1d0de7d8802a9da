"""The small rules of the supervisor: when to start again, whom to signal, what to show."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import psutil
import pytest

from orchestrator.local import console, leftovers
from orchestrator.local.console import Console
from orchestrator.local.supervisor import restart_delay


class ClosedTerminal(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def say_through(log_directory: Path, text: bytes, terminal: TextIO) -> None:
    """Let a process called `web` write this text."""
    reader, writer = os.pipe()
    watched = Console(terminal, log_directory)
    watched.follow("web", os.fdopen(reader, "rb"))
    os.write(writer, text)
    os.close(writer)
    watched.close()


def test_the_delay_doubles_up_to_ten_seconds_and_never_ends() -> None:
    delays = [restart_delay(ends) for ends in (1, 2, 3, 4, 5, 6, 7, 1_000_000)]
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_every_line_names_its_process_and_is_in_its_file(tmp_path: Path) -> None:
    terminal = io.StringIO()
    say_through(tmp_path, b"one\n\xff two\nno newline at the end", terminal)
    assert terminal.getvalue().splitlines() == [
        "web       │ one",
        "web       │ � two",
        "web       │ no newline at the end",
    ]
    assert (tmp_path / "web.log").read_bytes() == b"one\n\xff two\nno newline at the end"


def test_a_closed_terminal_does_not_stop_the_log(tmp_path: Path) -> None:
    say_through(tmp_path, b"line\n" * 100, ClosedTerminal())
    assert (tmp_path / "web.log").read_bytes() == b"line\n" * 100


def test_an_ascii_terminal_gets_the_line_all_the_same(tmp_path: Path) -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    say_through(tmp_path, "grün\n".encode(), terminal)
    assert raw.getvalue() == b"web       ? gr?n\n"


def test_a_log_never_grows_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LARGEST_FILE", 1000)
    say_through(tmp_path, b"x" * 99 + b"\n" + b"y" * 4999 + b"\n" + b"z\n", io.StringIO())
    assert (tmp_path / "web.log").read_bytes() == b"z\n"
    assert (tmp_path / "web.log.1").read_bytes() == b"x" * 99 + b"\n" + b"y" * 4999 + b"\n"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_leftover_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    leftovers.record(tmp_path / "children.json", [(sleeper.pid, signal.SIGTERM)])
    assert leftovers.sweep(tmp_path / "children.json") == 1
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not (tmp_path / "children.json").exists()


def test_a_process_that_only_has_the_same_number_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    started = psutil.Process(sleeper.pid).create_time()
    entry = {"pid": sleeper.pid, "started": started - 3600, "signal": int(signal.SIGTERM)}
    (tmp_path / "children.json").write_text(json.dumps([entry]))
    assert leftovers.sweep(tmp_path / "children.json") == 0
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "[{", "null garbage"])
def test_a_record_cut_short_by_a_crash_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / "children.json").write_text(text)
    assert leftovers.sweep(tmp_path / "children.json") == 0
