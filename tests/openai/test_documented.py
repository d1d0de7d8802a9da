"""The examples of docs/openai.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.faults.stack import ROOT, Stack
from tests.openai.conftest import key_of
from tests.openai.test_batches import ended, lines_of
from tests.openai.test_media import picture

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "openai.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_example_runs(
    client: OpenAI, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"data_url": picture()}
    first = EXAMPLES[0].replace("http://127.0.0.1:8002", str(stack.api.base_url).rstrip("/"))
    exec(first.replace("baton_…", key_of(stack.directory)), names)
    assert capsys.readouterr().out.strip(), "an answer was printed"
    for example in EXAMPLES[1:]:
        exec(example, names)
    assert capsys.readouterr().out.strip(), "a story was printed"
    assert (tmp_path / "speech.wav").read_bytes().startswith(b"RIFF")
    assert len(names["images"].data) == 2
    assert set(lines_of(client, ended(client, names["batch"].id).output_file_id)) == {"0", "1", "2"}
    names["client"].close()
