"""A Redis that wants a password, TLS and the client's certificate: everything of Baton reaches it, or says why not."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import broker, health
from orchestrator.local import valkey
from orchestrator.local.program import kill_group, spawn
from tests import tls
from tests.faults.stack import running_stack, wait_until

pytestmark = pytest.mark.slow
PASSWORD = "p4ss/w:rd@"
QUOTED = "p4ss%2Fw%3Ard%40"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> broker.TlsFiles:
    return tls.make_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(files: broker.TlsFiles) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="baton-redis-") as folder:
        program = valkey.program(Path(folder), Path(folder), (*valkey.VOLATILE, "--requirepass", PASSWORD))
        server: subprocess.Popen[bytes] = spawn(program, subprocess.DEVNULL)
        try:
            socket = valkey.socket_path(Path(folder))
            wait_until(socket.exists, what="the server")
            with tls.front(files, socket) as port:
                yield port
        finally:
            kill_group(server)
            server.wait(10)


def url(port: int, password: str = QUOTED) -> str:
    return f"rediss://:{password}@localhost:{port}/0"


def test_readiness_tells_what_is_wrong_and_never_the_password(port, files, settings):
    settings.CELERY_BROKER_URL, settings.BROKER_TLS = url(port), files
    assert health.ask_broker()["broker"] == health.Verdict(True, "answers, noeviction")
    settings.BROKER_TLS = broker.TlsFiles(files.authority)
    assert not health.ask_broker()["broker"].ok  # without the client's certificate
    settings.BROKER_TLS = broker.TlsFiles()
    assert "certificate verify failed" in health.ask_broker()["broker"].detail
    settings.CELERY_BROKER_URL, settings.BROKER_TLS = url(port, "s3cret"), files
    verdict = health.ask_broker()["broker"]
    assert (verdict.ok, "s3cret" in verdict.detail) == (False, False)
    settings.CELERY_BROKER_URL = url(port).replace("localhost", "127.0.0.2")  # a name that is not in the certificate
    assert not health.ask_broker()["broker"].ok


@pytest.mark.thorough
def test_web_scheduler_and_worker_work_through_it_and_write_the_password_nowhere(port, files, tmp_path):
    paths: dict[str, Any] = {"BROKER_CA_FILE": files.authority, "BROKER_CERT_FILE": files.certificate}
    addresses = {"CELERY_BROKER_URL": url(port), "REDIS_URL": url(port)}
    with running_stack(tmp_path, BROKER_KEY_FILE=files.key, **paths, **addresses) as stack:
        task = stack.submit(simulate={"seconds": 0})
        assert stack.wait_for(task)["status"] == "completed"
        held = stack.submit(simulate={"seconds": 0.2})
        assert stack.api.get(f"/tasks/{held}", params={"wait": 20, "until": "end"}).json()["status"] == "completed"
        logs = "".join(stack.log(name) for name in stack.processes)
    assert PASSWORD not in logs
    assert QUOTED not in logs
