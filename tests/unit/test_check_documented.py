"""Every setting is documented where a person looks for it, and nothing is documented that is not read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks_app.states import TRANSITIONS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "orchestrator" / "settings.py"
EXAMPLE = ROOT / ".env.example"
READ_IN_SETTINGS = re.compile(r"env\.\w+\(\s*\"([A-Z_]+)\"")
READ_BY_THE_START = re.compile(r"environment(?:\.get\(|, |\[)\"([A-Z_]+)\"")
READ_BY_THE_ENGINE = re.compile(r"environ\.get\(\"(ENGINE_[A-Z_]+)\"")


def read_by(pattern: re.Pattern[str], *files: str) -> set[str]:
    return {name for file in files for path in ROOT.glob(file) for name in pattern.findall(path.read_text())}


def in_settings() -> set[str]:
    return read_by(READ_IN_SETTINGS, "orchestrator/settings.py")


def in_start() -> set[str]:
    return read_by(
        READ_BY_THE_START, *(f"orchestrator/local/{name}.py" for name in ("configuration", "devices", "processes"))
    )


def in_engine() -> set[str]:
    return read_by(READ_BY_THE_ENGINE, "gpu_worker/engine/*.py")


def documented(file: str) -> set[str]:
    pattern = r"^#([A-Z_]+)=" if file == ".env.example" else r"^\| `([A-Z_]+)`"
    return set(re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE))


def test_the_patterns_find_what_they_are_for() -> None:
    assert {"DATABASE_URL", "LEASE_SECONDS", "DATABASE_POOL_SIZE"} <= in_settings()
    assert {"PORT", "WORKERS", "DATA_DIR"} <= in_start()
    assert "ENGINE_PRELOAD" in in_engine()


@pytest.mark.parametrize("file", [".env.example", "docs/configuration.md"])
def test_every_variable_that_is_read_is_documented(file: str) -> None:
    assert sorted((in_settings() | in_start()) - documented(file)) == []


def test_the_engines_variables_are_in_the_reference() -> None:
    assert sorted(in_engine() - documented("docs/configuration.md")) == []


@pytest.mark.parametrize("file", [".env.example", "docs/configuration.md"])
def test_nothing_is_documented_that_is_not_read(file: str) -> None:
    assert sorted(documented(file) - in_settings() - in_start() - in_engine()) == []


def test_the_reference_gives_the_defaults_that_the_settings_have() -> None:
    defaults = dict(re.findall(r"env\.(?:float|int)\(\"([A-Z_]+)\", ([\d.]+)\)", SETTINGS.read_text()))
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+)", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
    wrong = {name: rows.get(name) for name, value in defaults.items() if float(rows.get(name, "nan")) != float(value)}
    assert wrong == {}


# ---------------------------------------------------------------- what the pages point at

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
NAMED_TEST = re.compile(r"`(test_\w+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)|(?:src|srcset)=\"([^\"]+)\"")


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    defined = {name for path in (ROOT / "tests").rglob("*.py") for name in DEFINED.findall(path.read_text())}
    assert sorted(set(NAMED_TEST.findall(page.read_text())) - defined) == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    targets = [first or second for first, second in LINK.findall(page.read_text())]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_chart_of_the_states_has_exactly_the_legal_edges() -> None:
    chart = (ROOT / "docs/state_machine.md").read_text().split("```")[1]
    drawn = {(a, b) for a, b in re.findall(r"^ +(\w+) --> (\w+): \S", chart, re.MULTILINE)}
    assert drawn == {(str(source), str(target)) for source, targets in TRANSITIONS.items() for target in targets}
