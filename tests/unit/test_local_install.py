"""When the set-up does something, and when it does not."""

from pathlib import Path

import pytest

from orchestrator.local import install

PYTHON_WITHOUT_NETWORK = """#!/bin/sh
case "$*" in
*" pip install "*) echo "$*" >> "{project}/pip"; test ! -e "{project}/offline";;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which pip only notes that it was called; the environment's Python works."""
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(PYTHON_WITHOUT_NETWORK.format(project=tmp_path))
    python.chmod(0o755)
    monkeypatch.setattr(install, "PROJECT", str(tmp_path))
    monkeypatch.setattr(install, "ENVIRONMENT", str(tmp_path / ".venv"))
    monkeypatch.setattr(install, "PYTHON", str(python))
    return tmp_path


def installations(project: Path) -> int:
    return len((project / "pip").read_text().splitlines()) if (project / "pip").exists() else 0


def test_a_second_set_up_does_nothing(project: Path) -> None:
    assert [install.main(["run"]), install.main(["run"])] == [0, 0]
    assert installations(project) == 1


def test_what_development_needs_is_enough_for_a_run(project: Path) -> None:
    install.main(["dev"])
    install.main(["run"])
    assert installations(project) == 1


def test_a_run_is_not_enough_for_development(project: Path) -> None:
    install.main(["run"])
    install.main(["dev"])
    assert installations(project) == 2


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_a_changed_pin_is_installed(project: Path, name: str) -> None:
    install.main(["run"])
    (project / name).write_text("changed")
    install.main(["run"])
    assert installations(project) == 2


def test_a_failed_installation_is_tried_again(project: Path) -> None:
    install.main(["run"])
    (project / "requirements.txt").write_text("changed")
    (project / "offline").write_text("")
    assert install.main(["run"]) == 1
    (project / "requirements.txt").write_text("requirements.txt")  # back as it was: still not known to be complete
    (project / "offline").unlink()
    assert install.main(["run"]) == 0
    assert installations(project) == 3


def test_an_old_python_is_told_what_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", str(project))
    assert install.main(["run"]) == 1
    assert "needs Python 3.11 or newer; python3 is 3.9.2" in capsys.readouterr().err
    assert installations(project) == 0
