"""What the terminal shows once Baton answers."""

import json
import shlex
from pathlib import Path

from orchestrator.local import ready
from orchestrator.local.ready import Credentials

SOMEBODY = Credentials("operator", "pass word", "inf_a_b")


def test_the_block_holds_everything_a_first_task_needs(tmp_path: Path) -> None:
    text = ready.block("http://127.0.0.1:8002", tmp_path, SOMEBODY, missing="")
    for needed in ("ready: http://127.0.0.1:8002", "operator", "pass word", "inf_a_b", str(tmp_path), "curl"):
        assert needed in text


def test_the_line_to_paste_is_one_shell_command_with_a_valid_task() -> None:
    line = ready.example("http://127.0.0.1:8002", "inf_a_b")
    words = shlex.split(line)
    assert "\n" not in line
    assert "A=Authorization: Bearer inf_a_b;" in words
    assert json.loads(words[words.index("-d") + 1])["task_type"] == "llm"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    text = ready.block("http://127.0.0.1:8002", tmp_path, SOMEBODY, missing="no worker is online")
    assert "not ready yet: no worker is online" in text
    assert "is ready" not in text


def test_a_database_that_others_set_up_has_no_credentials_here(tmp_path: Path) -> None:
    assert ready.read_credentials(tmp_path / "credentials.json") is None
    assert "API key" not in ready.block("http://127.0.0.1:8002", tmp_path, None, missing="")
