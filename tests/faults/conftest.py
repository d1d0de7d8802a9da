from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not below pytest's own directory, which PostgreSQL's account cannot enter when root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="baton-start-"))
    directory.chmod(0o755)
    yield directory / "data of ä"
    shutil.rmtree(directory)
