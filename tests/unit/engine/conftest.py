from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_worker.runners import registry
from tests.unit.engine.scripted import Bench, ScriptedRunner


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ScriptedRunner:
    """The runner that every lane of this test gets."""
    runner = ScriptedRunner()
    monkeypatch.setattr(registry, "create", lambda spec: runner)
    return runner


@pytest.fixture
def bench(runner: ScriptedRunner) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.cache.evict_idle()
