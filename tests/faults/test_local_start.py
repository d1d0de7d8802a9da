"""The one-command start with its real processes: what it prints, what it survives, that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.start import PARTS, STOP_TIME, Start, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def api_key(data_dir: Path) -> str:
    return str(json.loads((data_dir / "credentials.json").read_text())["api_key"])


def test_a_stop_leaves_no_process_and_the_next_start_finds_everything(data_dir: Path) -> None:
    with Start(data_dir, WORKERS="1").wait_until_ready() as first:
        key = api_key(data_dir)
        assert key in first.output()
        assert (data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
        assert first.stop(signal.SIGTERM) == 0
    with Start(data_dir).wait_until_up() as second:
        assert api_key(data_dir) == key
        assert second.stop(signal.SIGINT) == 0


def test_whatever_is_killed_is_started_again(data_dir: Path) -> None:
    with Start(data_dir, WORKERS="1").wait_until_ready() as baton:
        for name in PARTS:
            victim = baton.part(name)
            assert victim is not None, f"{name} does not run"
            victim.kill()
            wait_for(f"another {name}", lambda name=name, old=victim: baton.part(name) not in (None, old))  # type: ignore[misc]
            wait_for(f"Baton after the end of {name}", lambda: baton.answers("/readyz"))
        assert baton.stop() == 0


def test_a_request_made_while_the_web_process_is_dead_is_answered(data_dir: Path) -> None:
    with Start(data_dir).wait_until_up() as baton:
        web = baton.part("web")
        assert web is not None
        web.kill()
        web.wait()
        assert baton.answers()


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_works(data_dir: Path) -> None:
    with Start(data_dir, WORKERS="1").wait_until_ready() as first:
        assert len(first.family) > len(PARTS)
        first.process.kill()
        first.process.wait()
        wait_for("the family's end", lambda: not first.alive(), STOP_TIME)
    with Start(data_dir).wait_until_up() as second:
        assert second.answers()


def test_everything_killed_at_once_loses_nothing(data_dir: Path) -> None:
    with Start(data_dir).wait_until_up() as first:
        key = api_key(data_dir)
        for process in first.family:
            with suppress(psutil.NoSuchProcess):  # one that died with its parent
                process.kill()
        first.process.wait()
    with Start(data_dir).wait_until_up() as second:
        assert api_key(data_dir) == key
        assert second.answers()


@pytest.mark.parametrize("seconds", [0.4, 0.8, 1.6])
def test_a_first_start_that_was_killed_halfway_is_no_obstacle(data_dir: Path, seconds: float) -> None:
    with Start(data_dir) as first:
        time.sleep(seconds)
        first.look_at_family()
        first.process.kill()
    with Start(data_dir).wait_until_up() as second:
        assert second.answers()


def test_a_second_start_is_told_at_once_who_is_in_its_way(data_dir: Path) -> None:
    with Start(data_dir) as first:
        url = first.url()
        with Start(data_dir) as same_data:
            assert same_data.process.wait(10) == 1
            assert f"pid {first.process.pid}, {url}" in same_data.output()
        port = url.rpartition(":")[2]
        with Start(data_dir.with_name("other"), PORT=port) as same_port:
            assert same_port.process.wait(10) == 1
            assert f"port {port} is taken" in same_port.output()


def test_two_copies_run_side_by_side(data_dir: Path) -> None:
    with Start(data_dir) as one, Start(data_dir.with_name("other")) as two:
        one.wait_until_up()
        two.wait_until_up()
        assert one.answers()
        assert two.answers()
        assert api_key(one.data_dir) != api_key(two.data_dir)
        assert one.stop() == 0
        assert two.answers()


def test_a_foreign_process_with_the_number_in_the_pid_file_is_left_alone(data_dir: Path) -> None:
    with Start(data_dir).wait_until_up() as first:
        assert first.stop() == 0
    cluster = next(data_dir.glob("pg*"))
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n")
    with Start(data_dir).wait_until_up() as second:
        assert second.answers()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_make_alone_stops_everything(data_dir: Path, number: signal.Signals) -> None:
    if number == signal.SIGINT and sys.platform != "linux":
        pytest.skip("only Linux tells that make was interrupted")
    with Start(data_dir, ("make", "run")).wait_until_up() as baton:
        baton.stop(number)
