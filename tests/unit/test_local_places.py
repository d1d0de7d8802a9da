"""The directories of one Baton, and who may use them."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.local import places
from orchestrator.local.accounts import Account
from orchestrator.local.errors import StartError
from orchestrator.local.places import Places

OURS = Account(os.getuid(), os.getgid())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name; pytest's own is long."""
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def prepare(directory: Path) -> Places:
    return places.prepare(directory, OURS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_socket_fits_however_long_the_data_directory_is(short: Path) -> None:
    here = prepare(short / ("long" * 50) / ("and deep" * 20))
    assert len(str(here.postgres_sockets / ".s.PGSQL.5432")) < 103
    assert here.postgres_sockets.is_dir()


def test_two_data_directories_share_no_socket(short: Path) -> None:
    assert prepare(short / "a").postgres_sockets != prepare(short / "b").postgres_sockets


def test_a_temp_directory_with_a_comma_is_not_used_for_sockets(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = short / "a,b c"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    here = prepare(short / "data")
    assert here.postgres_sockets.parent.parent == Path("/tmp")
    for directory in (here.postgres_sockets, here.broker_sockets, here.postgres_sockets.parent):
        directory.rmdir()


def test_a_link_in_the_place_of_the_sockets_is_refused(short: Path) -> None:
    sockets = prepare(short / "data").postgres_sockets.parent
    (sockets / "pg").rmdir()
    (sockets / "broker").rmdir()
    sockets.rmdir()
    sockets.symlink_to(short)
    with pytest.raises(StartError, match="belongs to somebody else"):
        prepare(short / "data")


def test_what_is_private_is_private_whatever_the_umask(short: Path) -> None:
    before = os.umask(0)
    try:
        here = prepare(short / "data")
        places.secret_key(here)
    finally:
        os.umask(before)
    assert mode(here.data_dir / "secret_key") == 0o600
    assert mode(here.data_dir) == mode(here.postgres_sockets) == mode(here.broker_sockets) == 0o700


def test_the_secret_key_stays_the_same(short: Path) -> None:
    here = prepare(short / "data")
    first = places.secret_key(here)
    assert len(first) >= 50
    assert places.secret_key(here) == first
    assert places.secret_key(prepare(short / "other")) != first


def test_the_second_to_lock_is_told_who_was_first(short: Path) -> None:
    here = prepare(short / "data")
    with places.lock(here) as first:
        places.sign(first, "http://127.0.0.1:8002")
        with pytest.raises(StartError, match=rf"pid {os.getpid()}, http://127.0.0.1:8002"):
            places.lock(here)
    places.lock(here).close()


def test_a_file_in_the_place_of_the_data_directory_is_named(short: Path) -> None:
    (short / "data").write_text("")
    with pytest.raises(StartError, match="DATA_DIR="):
        prepare(short / "data")


def test_another_account_enters_only_through_open_directories(short: Path) -> None:
    stranger = Account(uid=54321, gid=54321)
    (short / "open").mkdir()
    short.chmod(0o711)
    assert stranger.can_enter(short / "open" / "not there yet")
    short.chmod(0o700)
    assert not stranger.can_enter(short / "open")
    assert OURS.can_enter(short / "open")
