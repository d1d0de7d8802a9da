"""The process itself: how it starts, obeys, dies, and leaves nothing behind. Real child processes, simulated models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from gpu_worker.engine import process
from gpu_worker.engine.process import ROOT, EngineGone, EngineProcess
from gpu_worker.engine.protocol import Cancelled, Completed, Failed, Finished, ModelSpec, Progress
from tests.integration.engine.harness import TEXT, Harness, wait_until

IMAGE = ModelSpec("simulated image", "stable_diffusion", "simulated")


def sleepers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if child.name() == "sleep"]


def gone(found: psutil.Process) -> bool:
    return not found.is_running() or found.status() == psutil.STATUS_ZOMBIE


# ------------------------------------------------------------ life


def test_it_is_ready_without_torch_and_tells_what_it_runs_on(engine: Harness) -> None:
    ready = engine.ready()
    assert ready.device.memory_total_mib > 0
    assert ready.versions.keys() == {"torch", "transformers", "diffusers"}
    loaded = {Path(mapped.path).name for mapped in psutil.Process(ready.pid).memory_maps()}
    assert not any("torch" in name for name in loaded)


def test_it_completes_a_request_and_stays_warm(engine: Harness) -> None:
    first = engine.submit(TEXT, simulate={"seconds": 0.05, "load_seconds": 0.2, "memory_mib": 30})
    outcome = engine.outcome(first)
    assert isinstance(outcome, Completed)
    assert engine.text(first) == outcome.result["text"]
    loading, inference = engine.phases(first)
    assert (loading.phase, inference.phase) == ("loading_model", "inference")
    assert inference.model_load_seconds is not None
    assert inference.model_load_seconds >= 0.2

    second = engine.submit(TEXT, simulate={"seconds": 0, "load_seconds": 0.2, "memory_mib": 30})
    engine.outcome(second)
    assert [(phase.phase, phase.model_load_seconds) for phase in engine.phases(second)] == [("inference", 0.0)]
    assert [(model.name, model.memory_mib) for model in engine.next_pulse().warm] == [("simulated", 30)]


def test_two_models_run_at_the_same_time_and_a_load_stops_neither(engine: Harness) -> None:
    slow = engine.submit(IMAGE, simulate={"seconds": 60, "steps": 600})
    engine.progressed(slow)
    loading = engine.submit(TEXT, simulate={"load_seconds": 60})
    quick = engine.submit(TEXT, simulate={"seconds": 0})
    assert isinstance(engine.outcome(quick), Completed)
    labels = {lane.model: lane for lane in engine.next_pulse().lanes}
    assert {label.rpartition("#")[0] for label in labels} == {"simulated", "simulated image"}
    assert sorted(lane.exempt for lane in labels.values()) == [False, False, True]
    before = len(engine.all(Progress))
    wait_until(lambda: len(engine.all(Progress)) > before)
    for waiting in (slow, loading):
        engine.process.cancel(waiting)
        assert isinstance(engine.outcome(waiting), Cancelled)


def test_a_running_request_is_cancelled(engine: Harness) -> None:
    request_id = engine.submit(TEXT, simulate={"seconds": 60, "steps": 600})
    engine.progressed(request_id)
    engine.process.cancel(request_id)
    assert isinstance(engine.outcome(request_id), Cancelled)
    assert engine.process.alive


def test_a_cancel_of_what_it_never_heard_of_is_ignored(engine: Harness) -> None:
    engine.process.cancel("nobody")
    engine.completed(TEXT, simulate={"seconds": 0})


def test_a_model_too_big_for_the_device_is_refused(tmp_path: Path) -> None:
    with Harness(tmp_path, {"ENGINE_PRELOAD": "0", "ENGINE_MEMORY_MIB": "100"}) as engine:
        failed = engine.failed(TEXT, simulate={"memory_mib": 500})
    assert failed.code == "model_load_failed"
    assert failed.message == "simulated: needs 500 MiB; models may take 100 MiB on this device"


def test_an_idle_model_makes_room_for_another(tmp_path: Path) -> None:
    with Harness(tmp_path, {"ENGINE_PRELOAD": "0", "ENGINE_MEMORY_MIB": "100"}) as engine:
        engine.completed(TEXT, simulate={"seconds": 0, "memory_mib": 80})
        engine.completed(IMAGE, width=64, height=64, simulate={"seconds": 0, "memory_mib": 70})
        assert [model.name for model in engine.next_pulse().warm] == ["simulated image"]


def test_an_unknown_kind_fails_its_request_and_not_the_engine(engine: Harness) -> None:
    failed = engine.failed(ModelSpec("odd", "video", "simulated"))
    assert failed.code == "model_load_failed"
    assert "video" in failed.message
    engine.completed(TEXT, simulate={"seconds": 0})


# ------------------------------------------------------------ death


def test_one_that_kills_itself_is_noticed_with_its_signal(engine: Harness) -> None:
    engine.submit(TEXT, simulate={"seconds": 0, "fail": "die"})
    assert engine.exit_code() == -signal.SIGKILL
    assert not engine.process.alive
    with pytest.raises(EngineGone):
        engine.submit(TEXT)


def test_poison_kills_on_every_attempt(engine: Harness) -> None:
    engine.submit(TEXT, number=7, simulate={"seconds": 0, "fail": "poison", "fail_attempts": 1})
    assert engine.exit_code() == -signal.SIGKILL


def test_one_killed_from_outside_is_noticed(engine: Harness) -> None:
    os.kill(engine.ready().pid, signal.SIGKILL)
    assert engine.exit_code() == -signal.SIGKILL


def test_a_hung_lane_stands_still_while_the_pulse_goes_on_and_the_kill_works(engine: Harness) -> None:
    engine.submit(TEXT, simulate={"seconds": 0, "fail": "hang"})
    wait_until(lambda: any(lane.active for lane in engine.next_pulse().lanes))
    first, second = engine.next_pulse().lanes[0], engine.next_pulse().lanes[0]
    assert (first.steps, first.active, first.exempt) == (second.steps, 1, False)
    engine.process.kill()
    engine.exit_code()
    assert not psutil.pid_exists(engine.ready().pid)


def test_a_grandchild_in_a_session_of_its_own_dies_with_the_kill(engine: Harness) -> None:
    engine.submit(TEXT, simulate={"seconds": 0, "fail": "grandchild"})
    wait_until(lambda: bool(sleepers_of(engine.process.pid)))
    [sleeper] = sleepers_of(engine.process.pid)
    engine.process.kill()
    engine.exit_code()
    assert gone(sleeper)


def test_a_grandchild_dies_when_the_engine_is_killed_from_outside(engine: Harness) -> None:
    engine.submit(TEXT, simulate={"seconds": 0, "fail": "grandchild"})
    wait_until(lambda: bool(sleepers_of(engine.process.pid)))
    [sleeper] = sleepers_of(engine.process.pid)
    os.kill(engine.ready().pid, signal.SIGKILL)
    assert engine.exit_code() == -signal.SIGKILL
    assert gone(sleeper)


def test_everything_dies_with_the_worker_however_that_dies(tmp_path: Path) -> None:
    """The worker here is a process of its own, so that it can be killed without a chance to clean up."""
    script = f"""
        import sys, threading
        from gpu_worker.engine.process import EngineProcess
        from gpu_worker.engine.protocol import ModelSpec, Submit
        engine = EngineProcess(lambda report: None, lambda code: None, {{"ENGINE_PRELOAD": "0"}})
        engine.start()
        model = ModelSpec("simulated", "llm", "simulated")
        simulate = {{"seconds": 0, "fail": "grandchild"}}
        engine.submit(Submit("a", model, {{"prompt": "x"}}, {{"simulate": simulate}}, {str(tmp_path)!r}))
        threading.Event().wait()
    """
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    try:
        wait_until(lambda: bool(sleepers_of(worker.pid)))
        family = psutil.Process(worker.pid).children(recursive=True)
        assert len(family) == 3  # guard, engine, sleeper
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: all(gone(member) for member in family))


def test_the_engine_dies_with_its_guard(engine: Harness) -> None:
    pid = engine.ready().pid
    assert pid != engine.process.pid
    os.kill(engine.process.pid, signal.SIGKILL)
    assert engine.exit_code() == -signal.SIGKILL
    wait_until(lambda: not psutil.pid_exists(pid) or gone(psutil.Process(pid)))


def test_signals_to_the_whole_service_do_not_stop_it(engine: Harness) -> None:
    request_id = engine.submit(TEXT, simulate={"seconds": 0.3})
    engine.progressed(request_id)
    os.killpg(engine.process.pid, signal.SIGTERM)
    os.killpg(engine.process.pid, signal.SIGINT)
    assert isinstance(engine.outcome(request_id), Completed)


def test_stop_ends_it_in_order_and_its_end_is_told_once(engine: Harness) -> None:
    engine.ready()
    engine.process.stop(10.0)
    assert engine.exits == [0]
    with pytest.raises(EngineGone):
        engine.process.cancel("anything")


def test_an_engine_that_does_not_stop_is_killed_after_the_time_it_has(engine: Harness) -> None:
    os.kill(engine.ready().pid, signal.SIGSTOP)
    engine.process.stop(0.2)
    assert engine.exits == [-signal.SIGKILL]


def test_an_engine_that_reads_no_commands_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SEND_TIMEOUT", 1)
    with Harness(tmp_path, {"ENGINE_PRELOAD": "0"}) as engine:
        os.kill(engine.ready().pid, signal.SIGSTOP)
        with pytest.raises(EngineGone, match="does not take commands"):
            engine.submit(TEXT, {"prompt": "x" * 50_000_000})  # more than a pipe holds
        assert engine.exit_code() == -signal.SIGKILL


def test_a_mistake_in_the_listener_does_not_deafen_it(
    engine: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(report: object) -> None:
        heard.append(report)
        raise LookupError("a mistake of the worker")

    heard: list[object] = []
    deaf = EngineProcess(listen, heard.append, {"ENGINE_PRELOAD": "0"})
    deaf.start()
    wait_until(lambda: len(heard) >= 2)
    deaf.stop(10.0)
    wait_until(lambda: heard[-1] == 0)
    assert "was not handled" in caplog.text


def test_engines_of_one_worker_are_told_apart(tmp_path: Path) -> None:
    first, second = Harness(tmp_path), Harness(tmp_path)
    assert second.process.generation > first.process.generation
    with pytest.raises(EngineGone):
        first.submit(TEXT)


# ------------------------------------------------------------ many at once


def test_a_crowd_of_requests_all_end_once(engine: Harness) -> None:
    ids = [engine.submit(TEXT, simulate={"seconds": 0.02 * (n % 5)}) for n in range(300)]
    cancelled = ids[::7]
    for request_id in cancelled:
        engine.process.cancel(request_id)
    outcomes = {request_id: engine.outcome(request_id) for request_id in ids}
    assert not any(isinstance(outcome, Failed) for outcome in outcomes.values())
    assert all(isinstance(outcomes[request_id], Completed) for request_id in set(ids) - set(cancelled))
    finished = [report.request_id for report in engine.all(Finished)]
    assert sorted(finished) == sorted(ids)
