"""What a log line holds, and what it never does."""

from __future__ import annotations

import subprocess
import sys

import pytest

BREAKS = """
import logging, structlog
from orchestrator import logs
logs.configure({{"format": "{style}", "level": "INFO"}})
key = "baton_12345678_" + "s3cret" * 7
try:
    [].index(key) if key.startswith("x") else {{}}["nothing"]
except KeyError:
    {log}
"""


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize("log", ["structlog.get_logger('a').exception('broke')", "logging.exception('broke')"])
def test_a_traceback_tells_where_but_not_what_the_variables_held(style: str, log: str) -> None:
    script = BREAKS.format(style=style, log=log)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "KeyError" in done.stdout + done.stderr
    assert "s3crets3cret" not in done.stdout + done.stderr
