"""Where the client looks for an address and a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baton_client import NoCredentials
from baton_client.credentials import find

KEPT = {"url": "http://127.0.0.1:8002", "username": "operator", "password": "secret", "api_key": "kept"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "credentials.json").write_text(json.dumps(KEPT))
    return tmp_path


def test_an_argument_comes_before_the_environment_before_the_file(folder: Path) -> None:
    set_ = {"BATON_URL": "https://baton.example/", "BATON_API_KEY": "set"}
    found = find("http://here", "given", set_, folder)
    assert (found.url, found.api_key) == ("http://here", "given")
    found = find(environment=set_, directory=folder)
    assert (found.url, found.api_key, found.source) == ("https://baton.example", "set", "BATON_API_KEY")
    found = find(environment={}, directory=folder)
    assert (found.url, found.api_key) == (KEPT["url"], "kept")


def test_the_file_is_found_from_a_folder_below_and_where_data_dir_says(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    assert find(environment={}, directory=folder / "a" / "b").api_key == "kept"
    elsewhere = {"DATA_DIR": str(folder / ".data")}
    assert find(environment=elsewhere, directory=Path("/")).api_key == "kept"


def test_a_kept_key_is_never_sent_to_another_address(folder: Path) -> None:
    with pytest.raises(NoCredentials, match="https://other"):
        find("https://other.example", environment={}, directory=folder)
    assert find(KEPT["url"] + "/", environment={}, directory=folder).api_key == "kept"


def test_what_is_missing_or_wrong_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="BATON_URL"):
        find(environment={}, directory=Path("/"))
    with pytest.raises(NoCredentials, match="http://"):
        find("localhost:8002", "key", {}, Path("/"))
    with pytest.raises(NoCredentials, match="printable"):
        find("http://here", "key\n", {}, Path("/"))
    (folder / ".data" / "credentials.json").write_text("{")
    with pytest.raises(NoCredentials, match=r"credentials\.json"):
        find(environment={}, directory=folder)


def test_a_key_does_not_show_when_credentials_are_printed(folder: Path) -> None:
    assert "kept" not in repr(find(environment={}, directory=folder))
