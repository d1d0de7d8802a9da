"""`baton` as a person runs it: a process with an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"
COMMAND = [sys.executable, "-m", "baton_client"]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Nothing of the tests' own: no .data of this checkout, no colours, lines that are not cut."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(SOURCE), "COLUMNS": "160", "PYTHONWARNINGS": "error"} | settings


class Program:
    def __init__(self, settings: dict[str, str], directory: Path = Path("/")) -> None:
        self.environment, self.directory = environment(settings), directory

    def __call__(
        self, *arguments: str | Path, status: int = 0, stdin: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Asserts the exit status, and that no traceback is ever shown."""
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.directory, env=self.environment | settings, input=stdin, capture_output=True, text=True,
            timeout=90,
        )  # fmt: skip
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def json(self, *arguments: str | Path, status: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", status=status).stdout)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
