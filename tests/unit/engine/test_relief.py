"""What a lane does when memory runs out. The device is played: it holds so much, and what does not fit raises."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from gpu_worker.engine.protocol import Completed, Failed
from gpu_worker.runners.base import Control, Execution
from tests.unit.engine.scripted import SPEC, Bench, ScriptedRunner, complete


class Memory:
    """`holds` MiB, of which every loaded model takes ten, a request `needs` its own, and so do those beside it."""

    def __init__(self, bench: Bench, runner: ScriptedRunner, holds: int) -> None:
        self.holds, self.needs, self.pieces = holds, dict[str, int](), dict[str, int]()
        self._bench = bench
        runner.run = self.run  # type: ignore[method-assign]
        runner.takes_less = self.halve  # type: ignore[method-assign]
        self.runs: list[list[str]] = []
        self.asked = threading.Event()

    def run(self, batch: Sequence[Execution], control: Control) -> None:
        names = [execution.request.request_id for execution in batch]
        self.runs.append(names)
        taken = 10 * len(self._bench.cache.warm()) + sum(self.needs.get(n, 1) // self.pieces.get(n, 1) for n in names)
        if taken > self.holds:
            raise MemoryError(f"{taken} of {self.holds} MiB")
        for execution in batch:
            complete(execution, control)

    def halve(self, execution: Execution) -> bool:
        name = execution.request.request_id
        if name.startswith("divisible") and self.pieces.get(name, 1) < 4:
            self.pieces[name] = self.pieces.get(name, 1) * 2
            return True
        return False


def together(bench: Bench, runner: ScriptedRunner, *names: str) -> None:
    """They wait for the load, and so run in one batch."""
    loaded = threading.Event()
    runner.load = lambda: loaded.wait(5)
    for name in names:
        bench.submit(name)
    loaded.set()


def done_for(bench: Bench, name: str) -> tuple[str, ...]:
    outcome = bench.reports.outcome(name)
    assert isinstance(outcome, Completed), outcome
    return outcome.relief


def test_what_fits_needs_no_relief(bench: Bench, runner: ScriptedRunner) -> None:
    Memory(bench, runner, holds=100)
    bench.submit("a")
    assert done_for(bench, "a") == ()


def test_a_batch_that_is_too_large_runs_one_by_one(bench: Bench, runner: ScriptedRunner) -> None:
    memory = Memory(bench, runner, holds=50)
    memory.needs = {"a": 30, "b": 30}
    together(bench, runner, "a", "b")
    assert done_for(bench, "a") == done_for(bench, "b") == ("free_cache", "smaller_batch")
    assert memory.runs == [["a", "b"], ["a"], ["b"]]


def test_for_a_while_batches_stay_smaller(bench: Bench, runner: ScriptedRunner) -> None:
    memory = Memory(bench, runner, holds=50)
    memory.needs = dict.fromkeys("abcd", 15) | dict.fromkeys("efgh", 15)
    together(bench, runner, *"abcd")
    assert [done_for(bench, name) for name in "abcd"] == [("free_cache", "smaller_batch")] * 4
    hold = threading.Event()
    run = memory.run

    def wait_first(batch: Sequence[Execution], control: Control) -> None:
        hold.wait(5)
        run(batch, control)

    runner.run = wait_first  # type: ignore[method-assign]
    for name in "efgh":
        bench.submit(name)
    hold.set()
    assert [done_for(bench, name) for name in "efgh"] == [()] * 4
    assert max(len(batch) for batch in memory.runs[5:]) <= 2


def test_idle_models_go_when_one_alone_does_not_fit(bench: Bench, runner: ScriptedRunner) -> None:
    memory = Memory(bench, runner, holds=50)
    bench.submit("other", replace(SPEC, name="other"))
    bench.reports.outcome("other")
    memory.needs = {"big": 35}
    bench.submit("big")
    assert done_for(bench, "big") == ("free_cache", "evict_idle")
    assert [model.name for model in bench.cache.warm()] == ["scripted"]


def test_what_can_be_done_in_pieces_is_before_a_model_goes(bench: Bench, runner: ScriptedRunner) -> None:
    memory = Memory(bench, runner, holds=50)
    bench.submit("other", replace(SPEC, name="other"))
    bench.reports.outcome("other")
    memory.needs = {"divisible": 100}
    bench.submit("divisible")
    assert done_for(bench, "divisible") == ("free_cache", "smaller_pieces", "smaller_pieces")
    assert len(bench.cache.warm()) == 2


def test_what_fits_in_no_way_fails_alone_and_tells_what_was_tried(bench: Bench, runner: ScriptedRunner) -> None:
    memory = Memory(bench, runner, holds=50)
    bench.submit("other", replace(SPEC, name="other"))
    bench.reports.outcome("other")
    memory.needs = {"huge": 1000}
    together(bench, runner, "small", "huge", "little")
    failed = bench.reports.outcome("huge")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.relief) == (
        "cuda_out_of_memory", ("free_cache", "smaller_batch", "evict_idle"),
    )  # fmt: skip
    assert done_for(bench, "small") == done_for(bench, "little") == ("free_cache", "smaller_batch")
    bench.submit("next")
    assert done_for(bench, "next") == ()


def test_a_load_that_needed_the_room_of_others_tells_all_who_waited(bench: Bench, runner: ScriptedRunner) -> None:
    Memory(bench, runner, holds=50)
    bench.submit("other", replace(SPEC, name="other"))
    bench.reports.outcome("other")
    waiting, tries = threading.Event(), []

    def hungry() -> None:
        assert waiting.wait(5)
        tries.append(len(bench.cache.warm()))
        if len(tries) == 1:
            raise MemoryError

    runner.load = hungry
    bench.submit("a")
    bench.submit("b")
    waiting.set()
    assert done_for(bench, "a") == done_for(bench, "b") == ("evict_idle",)
    assert tries == [1, 0]


def test_another_error_is_nobodys_relief(bench: Bench, runner: ScriptedRunner) -> None:
    def odd(execution: Execution, control: Control) -> None:
        raise ValueError("odd")

    runner.steps["a"] = odd
    together(bench, runner, "a", "b")
    failed = bench.reports.outcome("a")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.relief) == ("internal_error", ())
    assert done_for(bench, "b") == ()
