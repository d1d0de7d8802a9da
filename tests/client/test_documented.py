"""Every example of docs/api.md and of the client's README does what it says: its code blocks are run as they stand.

The shell blocks of a section are one script, its Python blocks another, each behind the blocks of the section Set-up.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw

from tests.client.program import environment

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
COST = "What did it cost?"
PAGES = {"api": ROOT / "docs" / "api.md", "client": ROOT / "clients" / "python" / "README.md"}
STRICT = """set -euo pipefail
curl() { command curl --fail-with-body "$@"; }
baton() { "$PYTHON" -m baton_client "$@"; }
export -f baton
"""


@dataclass(frozen=True)
class Example:
    page: str
    section: str
    language: str
    code: str
    setup: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.section}: {self.language}"


def examples() -> Iterator[Example]:
    for page, path in PAGES.items():
        setup: dict[str, str] = {}
        for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", path.read_text(encoding="utf-8"), re.S | re.M):
            blocks: dict[str, str] = {}
            for kind, code in re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.S | re.M):
                language = "openai" if "from openai import" in code else kind
                blocks[language] = blocks.get(language, "") + code
            if title == "Set-up":
                setup = blocks | {"openai": blocks["python"]}
            for language, code in blocks.items():
                if title != "Set-up" or page == "api":
                    yield Example(page, title, language, code, setup.get(language, "") if title != "Set-up" else "")


@pytest.fixture(scope="module")
def folder(url: str, key: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody has done `make run`, and has a picture."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / ".data").mkdir()
    (folder / ".data" / "credentials.json").write_text(json.dumps({"url": url, "api_key": key}))
    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((24, 24, 72, 72), fill="red")
    image.save(folder / "picture.png")
    return folder


@pytest.mark.parametrize("example", [pytest.param(each, id=each.name) for each in examples()])
def test_an_example_does_what_it_says(example: Example, folder: Path, url: str) -> None:
    needed = "/v1/models" if example.language == "openai" else "/usage/" if example.section == COST else "/healthz"
    if httpx.get(url + needed).status_code == 404:
        pytest.skip(f"this server has no {needed}")
    script = folder / f"script.{example.language}"
    script.write_text((STRICT if example.language == "sh" else "") + example.setup + example.code, encoding="utf-8")
    program = "bash" if example.language == "sh" else sys.executable
    done = subprocess.run(
        [program, script], cwd=folder, env=environment({"PYTHON": sys.executable}), capture_output=True, text=True,
        timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"status":"failed"' not in done.stdout


def test_the_pages_have_examples_for_every_job() -> None:
    found = list(examples())
    assert len({example.section for example in found if example.page == "api"}) >= 12
    assert {example.language for example in found} == {"sh", "python", "openai"}
