"""`baton` at a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time

from tests.client.program import COMMAND, Program


class Terminal:
    def __init__(self, program: Program, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], env=program.environment | {"TERM": "xterm"}, cwd="/", stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read(self, until: str = "", seconds: float = 60.0) -> str:
        """All that was written up to a pattern, or to the end."""
        deadline = time.monotonic() + seconds
        while not (until and re.search(until, self.text)):
            assert time.monotonic() < deadline, self.text
            if select.select([self._ours], [], [], 1)[0]:
                try:
                    chunk = os.read(self._ours, 65536)
                except OSError:  # the other end is closed
                    break
                self.text += chunk.decode(errors="replace")
        return self.text

    def end(self) -> int:
        self.read()
        os.close(self._ours)
        return self.process.wait(30)
