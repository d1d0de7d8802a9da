"""A language model that runs out of memory in the middle of a step goes on as if nothing had been. No process here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gpu_worker.engine.protocol import Completed, Failed, ModelSpec, Submit
from gpu_worker.runners import registry
from tests.unit.engine.scripted import Bench

pytestmark = pytest.mark.slow  # seconds of torch

Models = dict[str, ModelSpec]
PARAMETERS = {"max_new_tokens": 40, "seed": 1}


class Fuse:
    """Hangs in the second layer, so the first has already taken its tokens into the cache when it blows."""

    def __init__(self) -> None:
        self.calls = 0
        self.blows_at: set[int] = set()

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        self.calls += 1
        if self.calls in self.blows_at:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    fuse = Fuse()
    create = registry.create

    def with_fuse(spec: ModelSpec) -> Any:
        runner: Any = create(spec)
        setup = runner.setup

        def set_up(*arguments: Any) -> int:
            memory_mib: int = setup(*arguments)
            runner.model.model.layers[1].register_forward_pre_hook(fuse)
            return memory_mib

        runner.setup = set_up
        return runner

    monkeypatch.setattr(registry, "create", with_fuse)
    return fuse


@pytest.fixture
def bench() -> Iterator[Bench]:
    torch.set_num_threads(1)
    bench = Bench()
    yield bench
    bench.cache.evict_idle()


def say(bench: Bench, model: ModelSpec, request_id: str) -> Completed | Failed:
    bench.submit_request(Submit(request_id, model, {"prompt": "hello"}, PARAMETERS, "/nonexistent"))
    outcome = bench.reports.outcome(request_id)
    assert isinstance(outcome, Completed | Failed)
    return outcome


@pytest.mark.parametrize("step", [1, 2, 9])
def test_one_blown_step_changes_nothing_in_the_text(bench: Bench, fuse: Fuse, models: Models, step: int) -> None:
    undisturbed = say(bench, models["chat"], "undisturbed")
    assert isinstance(undisturbed, Completed)
    fuse.blows_at = {fuse.calls + step}
    disturbed = say(bench, models["chat"], "disturbed")
    assert isinstance(disturbed, Completed)
    assert disturbed.result == undisturbed.result


def test_two_in_a_row_fail_the_request_and_the_next_one_is_fine(bench: Bench, fuse: Fuse, models: Models) -> None:
    fuse.blows_at = {5, 6}
    failed = say(bench, models["chat"], "unlucky")
    assert isinstance(failed, Failed)
    assert failed.code == "cuda_out_of_memory"
    assert isinstance(say(bench, models["chat"], "next"), Completed)
