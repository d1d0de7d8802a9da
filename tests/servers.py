"""A pytest plugin (`-p tests.servers`): a real PostgreSQL and a real Redis, started once for all xdist workers."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

SETTINGS = {  # seconds; a tenth of the defaults, so that faults show in tests' time
    "HEARTBEAT_INTERVAL": "0.2",
    "LEASE_SECONDS": "1.5",
    "SCHEDULER_INTERVAL": "0.1",
    "CLAIM_TIMEOUT": "1.0",
    "RETRY_BACKOFF_SECONDS": "0.1",
    "CANCEL_GRACE_SECONDS": "0.5",
}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django reads the settings. The xdist workers inherit the addresses of the process that began."""
    if "BATON_TEST_SERVERS" in os.environ or "DATABASE_URL" in os.environ:
        return
    _start(early_config)


def _start(config: pytest.Config) -> None:
    from orchestrator.local import ephemeral

    servers = ephemeral.start()
    data = tempfile.mkdtemp(prefix="baton-test-data-")
    os.environ |= SETTINGS | {
        "BATON_TEST_SERVERS": "1",
        "DATABASE_URL": servers.database_url,
        "CELERY_BROKER_URL": servers.broker_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": "tests-only-" + "x" * 40,
        "DATA_DIR": data,
    }

    def stop() -> None:
        servers.stop()
        shutil.rmtree(data, ignore_errors=True)

    config.add_cleanup(stop)
