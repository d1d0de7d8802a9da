"""What the one-command start reads from the environment and from .env."""

from pathlib import Path

import pytest

from orchestrator.local import configuration
from orchestrator.local.configuration import PROJECT, Configuration
from orchestrator.local.errors import StartError


def read(tmp_path: Path, **environ: str) -> Configuration:
    return configuration.read(environ, tmp_path / ".env")


def test_without_any_setting_everything_is_local(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert (settings.data_dir, settings.host, settings.port, settings.workers) == (
        PROJECT / ".data",
        "127.0.0.1",
        8002,
        1,
    )
    assert not settings.database_is_external
    assert not settings.broker_is_external


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9000\nWORKERS=3\nCELERY_BROKER_URL=redis://elsewhere/0\n")
    settings = read(tmp_path, PORT="9001")
    assert (settings.port, settings.workers) == (9001, 3)
    assert settings.environment["CELERY_BROKER_URL"] == "redis://elsewhere/0"


def test_an_empty_address_means_a_server_of_our_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://elsewhere/baton\n")
    assert read(tmp_path).database_is_external
    assert not read(tmp_path, DATABASE_URL="").database_is_external


@pytest.mark.parametrize("value", ["http", "-1", "65536", "8002.0", "²"])
def test_a_port_that_is_none_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(StartError, match="PORT="):
        read(tmp_path, PORT=value)


def test_a_relative_data_directory_starts_at_the_project(tmp_path: Path) -> None:
    assert read(tmp_path, DATA_DIR="there/../here").data_dir == PROJECT / "here"


@pytest.mark.parametrize("path", ["/tmp/" + "ä" * 500, "/tmp/two\nlines"])
def test_a_path_that_postgresql_cannot_hold_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StartError, match="DATA_DIR"):
        read(tmp_path, DATA_DIR=path)
