from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stack import Stack, running_stack


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not below pytest's own directory, which PostgreSQL's account cannot enter when root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="baton-start-"))
    directory.chmod(0o755)
    yield directory / "data of ä"
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One Baton for all tests that leave a whole one behind: starting it takes as long as most of them."""
    settings = {"WORKER_DRAIN_SECONDS": "0.5", "STALL_SECONDS": "3", "ALLOW_PRIVATE_WEBHOOK_HOSTS": "true"}
    with running_stack(tmp_path_factory.mktemp("faults"), **settings) as stack:
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    """The shared processes, whole again whatever the test before did to them; after the test the oracle speaks."""
    shared.kill_strays()
    shared.restore()
    yield shared
    shared.settle()
