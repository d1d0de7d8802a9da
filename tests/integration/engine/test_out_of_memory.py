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


class Scarce:
    """A device with memory for so many tokens in one call, each call with one token more than the last that fits."""

    def __init__(self, model: Any, most: int) -> None:
        self.most = most
        self.calls: list[int] = []
        self.refused = 0
        model.model.layers[1].register_forward_pre_hook(self)

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        self.calls.append(inputs[0].shape[1])
        if self.calls[-1] > self.most:
            self.refused += 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> list[Scarce]:
    """The memory of the model that the next request loads; it is plenty until a test says less."""
    made: list[Scarce] = []
    create = registry.create

    def with_little(spec: ModelSpec) -> Any:
        runner: Any = create(spec)
        setup = runner.setup

        def set_up(*arguments: Any) -> int:
            memory_mib: int = setup(*arguments)
            made.append(Scarce(runner.model, 10**6))
            return memory_mib

        runner.setup = set_up
        return runner

    monkeypatch.setattr(registry, "create", with_little)
    return made


def ask(bench: Bench, model: ModelSpec, names: list[str]) -> dict[str, Completed | Failed]:
    """All at once; the texts differ by their seeds."""
    for name in names:
        asked = {"max_new_tokens": 40, "seed": int(name.split()[-1])}
        bench.submit_request(Submit(name, model, {"prompt": f"hello {name[-1]}"}, asked, "/nonexistent"))
    outcomes = {name: bench.reports.outcome(name) for name in names}
    assert all(isinstance(outcome, Completed | Failed) for outcome in outcomes.values())
    return {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Completed | Failed)}


def test_a_batch_too_large_for_the_memory_goes_on_in_smaller_ones(
    bench: Bench, scarce: list[Scarce], models: Models
) -> None:
    plenty = ask(bench, models["base"], [f"plenty {number}" for number in range(12)])
    scarce[0].calls.clear()
    scarce[0].most = 7
    little = ask(bench, models["base"], [f"little {number}" for number in range(12)])
    assert [one.result for one in little.values() if isinstance(one, Completed)] == [
        one.result for one in plenty.values() if isinstance(one, Completed)
    ]
    assert len([one for one in little.values() if isinstance(one, Completed)]) == 12
    assert 0 < scarce[0].refused < len(scarce[0].calls) // 4  # it learns, and does not try again each time
    assert max(scarce[0].calls[-20:]) <= 7


def test_who_asks_for_too_much_fails_alone_and_his_neighbours_say_what_they_would_have(
    bench: Bench, scarce: list[Scarce], models: Models
) -> None:
    undisturbed = ask(bench, models["base"], ["undisturbed 1", "undisturbed 2"])
    scarce[0].most = 0
    assert all(isinstance(one, Failed) for one in ask(bench, models["base"], ["unlucky 1"]).values())
    scarce[0].most = 10**6
    again = ask(bench, models["base"], ["again 1", "again 2"])
    assert [one.result for one in again.values() if isinstance(one, Completed)] == [
        one.result for one in undisturbed.values() if isinstance(one, Completed)
    ]
