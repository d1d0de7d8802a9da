"""`baton` as a person runs it: a process of its own, or, where that proves no more, its `main` in this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from baton_client.cli.main import main

SOURCE = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"
COMMAND = [sys.executable, "-m", "baton_client"]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Nothing of the tests' own: no .data of this checkout, no colours, lines that are not cut."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(SOURCE), "COLUMNS": "160", "PYTHONWARNINGS": "error"} | settings


@dataclass(frozen=True)
class Done:
    status: int
    stdout: str
    stderr: str


class Command:
    """A call asserts the exit status, and that no traceback is ever shown."""

    def __init__(self, settings: dict[str, str], directory: Path = Path("/")) -> None:
        self.environment, self.directory = environment(settings), directory

    def __call__(self, *arguments: str | Path, status: int = 0, stdin: str = "", **settings: str) -> Done:
        done = self._run([*map(str, arguments)], stdin, self.environment | settings)
        assert done.status == status, f"exit status {done.status}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def json(self, *arguments: str | Path, status: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", status=status).stdout)

    def _run(self, arguments: list[str], stdin: str, settings: dict[str, str]) -> Done:
        """With streams, arguments, environment and folder as a process would have them."""
        output, errors = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        with (
            patch.dict(os.environ, settings, clear=True), patch.object(sys, "argv", ["baton", *arguments]),
            patch.object(sys, "stdin", io.StringIO(stdin)), patch.object(sys, "excepthook", sys.excepthook),
            redirect_stdout(output), redirect_stderr(errors), chdir(self.directory),
        ):  # fmt: skip
            status = _status()
        return Done(status, _text(output), _text(errors))


class Program(Command):
    def _run(self, arguments: list[str], stdin: str, settings: dict[str, str]) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self.directory, env=settings, input=stdin, capture_output=True, text=True,
            timeout=90,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def _status() -> int:
    """What a process that runs `main` would end with."""
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()
