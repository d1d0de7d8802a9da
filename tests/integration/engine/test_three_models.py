"""Several models and too little memory for all of them, in a real engine: what is loaded, when, and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_worker.engine.protocol import Completed, ModelSpec, PhaseChanged, Pulse
from tests.integration.engine.harness import TEXT, Harness, wait_until

FOR_TWO = {"ENGINE_PRELOAD": "0", "ENGINE_MEMORY_MIB": "100"}
LOAD = {"seconds": 0.01, "load_seconds": 0.05, "memory_mib": 45}


def model(name: str, **values: Any) -> ModelSpec:
    return replace(TEXT, name=name, **values)


def run(engine: Harness, name: str) -> str:
    return engine.submit(model(name), {"prompt": name}, simulate=LOAD)


def was_cold(engine: Harness, request_id: str) -> bool:
    return any(phase.phase == "loading_model" for phase in engine.phases(request_id))


def test_three_models_in_turn_are_loaded_no_more_often_than_their_order_demands(tmp_path: Path) -> None:
    order = ["a", "b", "a", "c", "a", "c", "b", "b", "c"]  # the least recently used of two goes for the third
    cold = [True, True, False, True, False, False, True, False, False]
    with Harness(tmp_path, FOR_TWO) as engine:
        for name, is_cold in zip(order, cold, strict=True):
            request_id = run(engine, name)
            assert isinstance(engine.outcome(request_id), Completed)
            assert was_cold(engine, request_id) is is_cold


def test_three_models_asked_for_at_once_all_answer(tmp_path: Path) -> None:
    with Harness(tmp_path, FOR_TWO) as engine:
        ids = [run(engine, name) for name in ("a", "b", "c") for _ in range(4)]
        assert all(isinstance(engine.outcome(request_id), Completed) for request_id in ids)
        assert len([phase for phase in engine.all(PhaseChanged) if phase.phase == "inference"]) == 12
        assert max(sum(warm.memory_mib for warm in pulse.warm) for pulse in engine.all(Pulse)) <= 100


def test_two_requests_for_one_cold_model_wait_for_the_same_load(engine: Harness) -> None:
    slow = {**LOAD, "load_seconds": 2.0}
    first = engine.submit(model("a"), {"prompt": "1"}, simulate=slow)
    wait_until(lambda: bool(engine.next_pulse().lanes))
    second = engine.submit(model("a"), {"prompt": "2"}, simulate=slow)
    waits = []
    for request_id in (first, second):
        assert isinstance(engine.outcome(request_id), Completed)
        [seconds] = [p.model_load_seconds for p in engine.phases(request_id) if p.phase == "inference"]
        assert seconds is not None
        waits.append(seconds)
    assert waits[0] > waits[1] > 0
    assert {lane.model for pulse in engine.all(Pulse) for lane in pulse.lanes} == {"a#1"}


def test_a_model_loads_while_another_answers(engine: Harness) -> None:
    long = engine.submit(model("a"), simulate={"seconds": 600, "steps": 6000})
    engine.progressed(long)
    cold = engine.submit(model("b"), simulate={**LOAD, "load_seconds": 1.0})
    wait_until(lambda: was_cold(engine, cold))
    seen = len(engine.progressed(long))
    assert isinstance(engine.outcome(cold), Completed)
    assert len(engine.progressed(long)) > seen
    engine.process.cancel(long)
    engine.outcome(long)


def loadable(name: str, mib: int, **values: Any) -> ModelSpec:
    """What a request for it would ask for."""
    return model(name, memory_mib=mib, options={"load_seconds": 0.0}, **values)


def test_models_are_warm_before_anybody_asks_as_far_as_they_fit(tmp_path: Path) -> None:
    with Harness(tmp_path, FOR_TWO) as engine:
        engine.ready()
        engine.process.load([loadable("a", 45), loadable("big", 200), loadable("b", 45), loadable("c", 45)])
        wait_until(lambda: [warm.name for warm in engine.next_pulse().warm] == ["a", "b"])
        warm = engine.submit(model("a"), simulate={"memory_mib": 45})
        assert isinstance(engine.outcome(warm), Completed)
        assert not was_cold(engine, warm)
        assert isinstance(engine.outcome(run(engine, "c")), Completed)  # and then they are models like any other


def test_a_pinned_model_is_not_unloaded_for_others(tmp_path: Path) -> None:
    with Harness(tmp_path, FOR_TWO) as engine:
        engine.ready()
        engine.process.load([loadable("pinned", 45, pinned=True)])
        for name in ("a", "b", "c"):
            assert isinstance(engine.outcome(run(engine, name)), Completed)
        assert {warm.name for warm in engine.next_pulse().warm} == {"pinned", "c"}
        failed = engine.failed(model("big"), simulate={"memory_mib": 60})
        assert failed.code == "model_load_failed"
        assert "beside the pinned pinned" in failed.message
