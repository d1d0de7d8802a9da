"""The throw-away servers of a test session."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from orchestrator.local import ephemeral
from orchestrator.local.configuration import PROJECT

pytestmark = pytest.mark.faults

HOLD = "from orchestrator.local import ephemeral; print(ephemeral.start().database_url, flush=True); input()"


def test_both_servers_answer_and_leave_nothing() -> None:
    before = set(psutil.Process().children())  # the session's own servers among them
    servers = ephemeral.start()
    with psycopg.connect(servers.database_url) as connection:
        assert connection.info.server_version >= 180000
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.ping()
    directory = Path(servers.database_url.partition("host=")[2]).parent
    assert directory.exists()
    servers.stop()
    assert not directory.exists()
    assert set(psutil.Process().children()) <= before


def test_they_die_with_a_killed_session_and_the_next_one_removes_their_files() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout is not None
        directory = Path(session.stdout.readline().strip().partition("host=")[2]).parent
        servers = psutil.Process(session.pid).children()
        assert len(servers) == 2
        session.kill()
    deadline = time.monotonic() + 10
    while any(server.is_running() and server.status() != psutil.STATUS_ZOMBIE for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert directory.exists()
    ephemeral.start().stop()
    assert not directory.exists()
