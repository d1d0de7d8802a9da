from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_worker.engine import device
from gpu_worker.engine.protocol import ModelSpec
from tests.integration.engine.conftest import build_all
from tests.integration.engine.harness import Harness


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    return build_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def gpu_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One engine on the first CUDA device for the whole session."""
    if device.detect().type != "cuda":
        pytest.skip("no CUDA device")
    with Harness(tmp_path_factory.mktemp("outputs"), {"HF_HUB_OFFLINE": "1"}) as harness:
        yield harness
