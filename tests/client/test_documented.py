"""Every example of docs/api.md and of the client's README does what it says: its code blocks are run as they stand.

The shell blocks of a section are one example, its Python blocks another, each behind the blocks of the section Set-up.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.client.program import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one waits for all
ROOT = Path(__file__).resolve().parents[2]
PAGES = {"api": ROOT / "docs" / "api.md", "client": ROOT / "clients" / "python" / "README.md"}
SHELL = """curl() { command curl --fail-with-body "$@"; }
for example in "$1"/??; do
    ( set -euo pipefail; . "$example" ) > "$example.output" 2>&1
    echo $? > "$example.status"
done
"""
PYTHON = """import sys, traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

for path in sorted(Path(sys.argv[1]).glob("??")):
    with open(f"{path}.output", "w", encoding="utf-8") as output, redirect_stdout(output), redirect_stderr(output):
        status = 0
        try:
            exec(compile(path.read_text(encoding="utf-8"), path, "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            status = 1
    Path(f"{path}.status").write_text(str(status))
"""
MASTERS = {"sh": SHELL, "python": PYTHON, "openai": PYTHON}  # each runs the files of a folder, apart from each other


@dataclass(frozen=True)
class Outcome:
    status: int
    output: str


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
    """Where somebody has done `make run`, has installed the client, and has a picture."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / ".data").mkdir()
    (folder / ".data" / "credentials.json").write_text(json.dumps({"url": url, "api_key": key}))
    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((24, 24, 72, 72), fill="red")
    image.save(folder / "picture.png")
    (folder / "bin").mkdir()
    (folder / "bin" / "baton").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m baton_client "$@"\n')
    (folder / "bin" / "baton").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    """Of each example, by its name. A language has one process: to start one takes longer than most examples do."""
    found = {}
    for language, master in MASTERS.items():
        chosen = [each for each in examples() if each.language == language]
        (folder / language).mkdir()
        for number, example in enumerate(chosen):
            (folder / language / f"{number:02}").write_text(example.setup + example.code, encoding="utf-8")
        (folder / f"all.{language}").write_text(master, encoding="utf-8")
        program = "bash" if language == "sh" else sys.executable
        settings = environment({"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"})
        subprocess.run(
            [program, f"all.{language}", language], cwd=folder, env=settings, check=True, stdin=subprocess.DEVNULL,
            timeout=500,
        )  # fmt: skip
        for number, example in enumerate(chosen):
            status, output = (folder / language / f"{number:02}.{what}" for what in ("status", "output"))
            found[example.name] = Outcome(int(status.read_text()), output.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("example", [pytest.param(each, id=each.name) for each in examples()])
def test_an_example_does_what_it_says(example: Example, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[example.name]
    assert outcome.status == 0, outcome.output
    assert "status=failed" in example.code or '"status":"failed"' not in outcome.output


def test_the_pages_have_examples_for_every_job() -> None:
    found = list(examples())
    assert len({example.section for example in found if example.page == "api"}) >= 12
    assert {example.language for example in found} == {"sh", "python", "openai"}
