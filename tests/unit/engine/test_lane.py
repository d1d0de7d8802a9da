"""One lane: what it does with arrivals, cancels and errors. The runner is scripted, everything else is real."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from gpu_worker.engine.protocol import Cancelled, Completed, Failed, PhaseChanged, Progress
from gpu_worker.runners.base import Control, Execution, InvalidInput, ModelRefused
from tests.unit.engine.scripted import SPEC, Bench, ScriptedRunner, complete, idle, wait_until


def test_a_request_waits_for_the_load_and_is_told_how_long(bench: Bench, runner: ScriptedRunner) -> None:
    bench.submit("first")
    assert isinstance(bench.reports.outcome("first"), Completed)
    bench.submit("second")
    assert isinstance(bench.reports.outcome("second"), Completed)

    phases = [report for report in bench.reports.all if isinstance(report, PhaseChanged)]
    assert [(phase.request_id, phase.phase) for phase in phases] == [
        ("first", "loading_model"),
        ("first", "inference"),
        ("second", "inference"),
    ]
    assert phases[1].model_load_seconds is not None
    assert phases[1].model_load_seconds > 0
    assert phases[2].model_load_seconds == 0


def test_requests_join_a_running_batch_and_leave_it_one_by_one(bench: Bench, runner: ScriptedRunner) -> None:
    released = threading.Event()
    runner.steps["long"] = lambda execution, control: (
        complete(execution, control) if released.is_set() else idle(execution, control)
    )
    bench.submit("long")
    wait_until(lambda: ["long"] in runner.batches)
    bench.submit("short")
    assert isinstance(bench.reports.outcome("short"), Completed)
    released.set()
    assert isinstance(bench.reports.outcome("long"), Completed)
    assert ["long", "short"] in runner.batches
    assert runner.ended == ["short", "long"]


def test_no_more_run_together_than_the_runner_can_take(bench: Bench, runner: ScriptedRunner) -> None:
    released = threading.Event()
    for number in range(6):
        runner.steps[str(number)] = lambda execution, control: (
            complete(execution, control) if released.is_set() else idle(execution, control)
        )
        lane = bench.submit(str(number))
    wait_until(lambda: ["0", "1", "2", "3"] in runner.batches)
    assert lane.pulse().active == 6
    released.set()
    for number in range(6):
        assert isinstance(bench.reports.outcome(str(number)), Completed)
    assert max(len(batch) for batch in runner.batches) == 4


def test_a_running_request_stops_at_its_next_step_and_keeps_what_was_done(bench: Bench, runner: ScriptedRunner) -> None:
    runner.steps["a"] = idle
    lane = bench.submit("a")
    wait_until(lambda: len(runner.batches) > 2)
    lane.cancel("a")
    outcome = bench.reports.outcome("a")
    assert isinstance(outcome, Cancelled)
    assert outcome.result == {"partial": True}
    assert outcome.inference_seconds > 0


def test_a_checkpoint_ends_a_cancelled_request_in_the_middle_of_a_step(bench: Bench, runner: ScriptedRunner) -> None:
    inside, past = threading.Event(), threading.Event()

    def one_long_step(execution: Execution, control: Control) -> None:
        inside.set()
        for number in range(10_000):
            control.checkpoint(execution, number, 10_000)
            threading.Event().wait(0.002)
        past.set()

    runner.steps["a"] = one_long_step
    lane = bench.submit("a")
    assert inside.wait(5)
    lane.cancel("a")
    assert isinstance(bench.reports.outcome("a"), Cancelled)
    assert not past.is_set()


def test_a_cancel_while_the_model_loads_is_answered_at_once(bench: Bench, runner: ScriptedRunner) -> None:
    go_on = threading.Event()
    runner.load = lambda: go_on.wait(5)
    lane = bench.submit("a")
    lane.cancel("a")
    assert isinstance(bench.reports.outcome("a"), Cancelled)
    assert not go_on.is_set()
    go_on.set()
    bench.submit("b")
    assert isinstance(bench.reports.outcome("b"), Completed)
    assert runner.ended == ["b"]


def test_cancelling_one_leaves_its_neighbour_alone(bench: Bench, runner: ScriptedRunner) -> None:
    released = threading.Event()
    runner.steps["a"] = idle
    runner.steps["b"] = lambda execution, control: complete(execution, control) if released.is_set() else None
    bench.submit("a")
    lane = bench.submit("b")
    wait_until(lambda: ["a", "b"] in runner.batches)
    lane.cancel("a")
    assert isinstance(bench.reports.outcome("a"), Cancelled)
    released.set()
    assert isinstance(bench.reports.outcome("b"), Completed)


def test_bad_input_fails_its_own_request_and_names_the_parameter(bench: Bench, runner: ScriptedRunner) -> None:
    def refuse(execution: Execution, control: Control) -> None:
        raise InvalidInput("too long", "input.prompt")

    runner.steps["bad"] = refuse
    bench.submit("bad")
    failed = bench.reports.outcome("bad")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message, failed.param) == ("invalid_input", "too long", "input.prompt")


def test_after_an_error_in_a_batch_only_the_guilty_one_fails(bench: Bench, runner: ScriptedRunner) -> None:
    together = threading.Event()

    def wait_for_company(execution: Execution, control: Control) -> None:
        if len(runner.batches[-1]) == 3:
            together.set()
        if together.is_set():
            execution.outcome = Completed({"ok": True})
        else:
            control.rest(0.005)

    def break_down(execution: Execution, control: Control) -> None:
        if together.is_set():
            raise RuntimeError("broken")

    runner.steps.update(guilty=break_down, one=wait_for_company, two=wait_for_company)
    for name in ("one", "guilty", "two"):
        bench.submit(name)
    failed = bench.reports.outcome("guilty")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == ("internal_error", "RuntimeError: broken")
    assert "break_down" in failed.detail
    assert isinstance(bench.reports.outcome("one"), Completed)
    assert isinstance(bench.reports.outcome("two"), Completed)


def test_who_is_out_of_memory_even_then_fails_alone(bench: Bench, runner: ScriptedRunner) -> None:
    def hungry(execution: Execution, control: Control) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")

    runner.steps["big"] = hungry
    bench.submit("big")
    failed = bench.reports.outcome("big")
    assert isinstance(failed, Failed)
    assert failed.code == "cuda_out_of_memory"
    bench.submit("small")
    assert isinstance(bench.reports.outcome("small"), Completed)


def test_a_failed_load_fails_all_who_wait_with_the_librarys_reason(bench: Bench, runner: ScriptedRunner) -> None:
    go_on = threading.Event()

    def fail() -> None:
        assert go_on.wait(5)
        raise OSError("no such file: model.safetensors")

    runner.load = fail
    bench.submit("a")
    bench.submit("b")
    go_on.set()
    for name in ("a", "b"):
        failed = bench.reports.outcome(name)
        assert isinstance(failed, Failed)
        assert failed.code == "model_load_failed"
        assert failed.message == "scripted: OSError: no such file: model.safetensors"
    assert bench.cache.warm() == ()

    runner.load = lambda: None
    bench.submit("c")
    assert isinstance(bench.reports.outcome("c"), Completed)


def test_the_catalogue_may_lower_how_many_run_together(bench: Bench, runner: ScriptedRunner) -> None:
    careful = replace(SPEC, options={"max_concurrent": 1})
    runner.steps["a"] = idle
    lane = bench.submit("a", careful)
    bench.submit("b", careful)
    wait_until(lambda: len(runner.batches) > 5)
    lane.cancel("a")
    bench.reports.outcome("b")
    assert max(len(batch) for batch in runner.batches) == 1


def test_a_refused_model_is_told_without_a_traceback(bench: Bench, runner: ScriptedRunner) -> None:
    def refuse() -> None:
        raise ModelRefused("weights.bin is a pickle")

    runner.load = refuse
    bench.submit("a")
    failed = bench.reports.outcome("a")
    assert isinstance(failed, Failed)
    assert (failed.message, failed.detail) == ("scripted: weights.bin is a pickle", "")


def test_a_lane_that_hangs_shows_no_steps_and_one_that_works_does(bench: Bench, runner: ScriptedRunner) -> None:
    go_on = threading.Event()
    runner.steps["a"] = idle
    lane = bench.submit("a")
    before = lane.pulse().steps
    wait_until(lambda: lane.pulse().steps > before)

    inside = threading.Event()

    def hang(execution: Execution, control: Control) -> None:
        inside.set()
        assert go_on.wait(5)
        complete(execution, control)

    runner.steps["a"] = hang
    assert inside.wait(5)
    before = lane.pulse().steps
    assert (lane.pulse().active, lane.pulse().exempt) == (1, False)
    threading.Event().wait(0.05)
    assert lane.pulse().steps == before
    go_on.set()
    bench.reports.outcome("a")


def test_a_lane_is_exempt_while_it_loads(bench: Bench, runner: ScriptedRunner) -> None:
    go_on = threading.Event()
    runner.load = lambda: go_on.wait(5)
    lane = bench.submit("a")
    assert lane.pulse().exempt
    go_on.set()
    bench.reports.outcome("a")
    assert not lane.pulse().exempt


def test_a_closed_lane_takes_nothing_and_its_model_gets_a_new_one(bench: Bench, runner: ScriptedRunner) -> None:
    old = bench.submit("a")
    bench.reports.outcome("a")
    wait_until(lambda: old.pulse().active == 0)
    bench.cache.evict_idle()
    assert runner.closed
    new = bench.submit("b")
    assert new is not old
    assert isinstance(bench.reports.outcome("b"), Completed)


def test_progress_is_told_before_the_end(bench: Bench, runner: ScriptedRunner) -> None:
    def speak(execution: Execution, control: Control) -> None:
        for number, word in enumerate(("so ", "it ", "goes"), start=1):
            control.progress(execution, number, 3, word)
        complete(execution, control)

    runner.steps["a"] = speak
    bench.submit("a")
    bench.reports.outcome("a")
    told = [report for report in bench.reports.all if isinstance(report, Progress)]
    assert "".join(progress.text_delta for progress in told) == "so it goes"
    assert told[-1].fraction == 1.0


# ---------------------------------------------------------------- who runs together


def kinds(runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first letter of a request's id says with whom it can run."""
    monkeypatch.setattr(runner, "company", lambda execution: execution.request.request_id[0], raising=False)


def test_only_those_that_fit_together_run_together(
    bench: Bench, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds(runner, monkeypatch)
    loaded = threading.Event()
    runner.load = lambda: loaded.wait(5)
    names = ["a1", "b1", "a2", "b2", "a3"]
    for name in names:
        bench.submit(name)
    loaded.set()
    for name in names:
        assert isinstance(bench.reports.outcome(name), Completed)
    assert runner.batches == [["a1", "a2", "a3"], ["b1", "b2"]]


def test_nobody_passes_one_that_waits_for_the_running_batch_to_end(
    bench: Bench, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds(runner, monkeypatch)
    released = threading.Event()
    runner.steps["a1"] = lambda execution, control: (
        complete(execution, control) if released.is_set() else idle(execution, control)
    )
    bench.submit("a1")
    wait_until(lambda: ["a1"] in runner.batches)
    bench.submit("b1")
    lane = bench.submit("a2")
    seen = len(runner.batches)
    wait_until(lambda: len(runner.batches) > seen + 2)
    assert lane.pulse().active == 3
    assert {tuple(batch) for batch in runner.batches} == {("a1",)}
    released.set()
    for name in ("a1", "b1", "a2"):
        assert isinstance(bench.reports.outcome(name), Completed)
    assert runner.batches[-2:] == [["b1"], ["a2"]]


def test_a_batch_that_nobody_can_join_later_waits_for_company_until_it_is_full(
    bench: Bench, runner: ScriptedRunner
) -> None:
    runner.gathers = True
    patient = replace(SPEC, options={"batch_wait_ms": 60_000, "max_concurrent": 3})
    for name in ("a", "b", "c"):
        bench.submit(name, patient)
    for name in ("a", "b", "c"):
        assert isinstance(bench.reports.outcome(name), Completed)
    assert runner.batches == [["a", "b", "c"]]


def test_a_lone_request_waits_no_longer_than_the_catalogue_says(bench: Bench, runner: ScriptedRunner) -> None:
    runner.gathers = True
    bench.submit("warms it up", replace(SPEC, options={"batch_wait_ms": 0}))
    assert isinstance(bench.reports.outcome("warms it up"), Completed)
    bench.submit("lone", replace(SPEC, name="other", options={"batch_wait_ms": 20}))
    outcome = bench.reports.outcome("lone")
    assert isinstance(outcome, Completed)
    assert outcome.inference_seconds < 5


def test_one_that_is_cancelled_while_it_waits_for_company_is_gone_at_once(bench: Bench, runner: ScriptedRunner) -> None:
    runner.gathers = True
    lane = bench.submit("a", replace(SPEC, options={"batch_wait_ms": 60_000}))
    lane.cancel("a")
    assert isinstance(bench.reports.outcome("a"), Cancelled)
    assert runner.batches == []


def test_one_that_ends_early_does_not_wait_for_its_neighbours(bench: Bench, runner: ScriptedRunner) -> None:
    told = threading.Event()
    loaded = threading.Event()
    runner.load = lambda: loaded.wait(5)

    def end_early(execution: Execution, control: Control) -> None:
        complete(execution, control)
        control.ended(execution)

    def wait_for_the_other(execution: Execution, control: Control) -> None:
        assert told.wait(5)
        complete(execution, control)

    runner.steps = {"early": end_early, "late": wait_for_the_other}
    bench.submit("early")
    bench.submit("late")
    loaded.set()
    assert isinstance(bench.reports.outcome("early"), Completed)
    told.set()
    assert isinstance(bench.reports.outcome("late"), Completed)
    assert runner.batches == [["early", "late"]]
    assert runner.ended == ["early", "late"]
