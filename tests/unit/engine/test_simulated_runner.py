"""The simulated runner on a lane in this process: real results, settable time, and none of torch."""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_worker.engine.protocol import Cancelled, Completed, Failed, Finished, ModelSpec, Outcome, Progress, Submit
from gpu_worker.runners import registry
from gpu_worker.runners.simulated import Plan, SimulatedRunner
from tests.unit.engine.scripted import Bench, wait_until


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.cache.evict_idle()


def spec(task_type: str = "llm") -> ModelSpec:
    return replace(registry.model_of(ask("x", task_type, Path("/nonexistent"))), name=f"simulated {task_type}")


def ask(request_id: str, task_type: str, folder: Path, number: int = 1, **parameters: Any) -> Submit:
    given = {"prompt": "a red fox", "text": "Hello there."}
    model = ModelSpec("simulated", task_type, "simulated")
    return Submit(request_id, model, given, parameters, str(folder / request_id), number)


def run(bench: Bench, folder: Path, task_type: str = "llm", request_id: str = "a", **parameters: Any) -> Outcome:
    start(bench, folder, task_type, request_id, **parameters)
    return bench.reports.outcome(request_id)


def start(bench: Bench, folder: Path, task_type: str, request_id: str, number: int = 1, **parameters: Any) -> Any:
    asked = ask(request_id, task_type, folder, number, **parameters)
    return bench.submit_request(replace(asked, model=spec(task_type)))


def completed(outcome: Outcome) -> Completed:
    assert isinstance(outcome, Completed)
    return outcome


def test_text_is_streamed_word_by_word_and_adds_up(bench: Bench, tmp_path: Path) -> None:
    outcome = completed(run(bench, tmp_path, simulate={"seconds": 0.3, "steps": 6}))
    deltas = [report.text_delta for report in bench.reports.all if isinstance(report, Progress)]
    assert len(deltas) >= 2
    assert "".join(deltas) == outcome.result["text"]
    assert "a red fox" in outcome.result["text"]
    assert outcome.result["finish_reason"] == "stop"
    assert outcome.usage.output_tokens == len(outcome.result["text"].split())


def test_an_image_has_the_size_asked_for_and_its_seed(bench: Bench, tmp_path: Path) -> None:
    outcome = completed(
        run(bench, tmp_path, "stable_diffusion", width=96, height=64, num_images=2, seed=7, simulate={"seconds": 0})
    )
    assert outcome.result["images"] == [
        {"file": 0, "width": 96, "height": 64, "seed": 7},
        {"file": 1, "width": 96, "height": 64, "seed": 8},
    ]
    for file in outcome.files:
        with Image.open(file.path) as image:
            assert (image.size, image.format, file.content_type) == ((96, 64), "PNG", "image/png")


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(bench: Bench, tmp_path: Path) -> None:
    def draw(request_id: str, seed: int) -> bytes:
        outcome = run(
            bench, tmp_path, "stable_diffusion", request_id, seed=seed, width=64, height=64, simulate={"seconds": 0}
        )
        return Path(completed(outcome).files[0].path).read_bytes()

    assert draw("a", 1) == draw("b", 1) != draw("c", 2)


def test_speech_is_a_wave_file_of_the_length_it_claims(bench: Bench, tmp_path: Path) -> None:
    outcome = completed(run(bench, tmp_path, "tts", format="wav", simulate={"seconds": 0}))
    audio = outcome.result["audio"]
    with wave.open(outcome.files[0].path) as file:
        assert file.getframerate() == audio["sample_rate"]
        assert file.getnframes() / file.getframerate() == pytest.approx(audio["duration_seconds"])
    assert outcome.usage.audio_seconds == audio["duration_seconds"]


def test_a_caption_is_text(bench: Bench, tmp_path: Path) -> None:
    assert completed(run(bench, tmp_path, "image_to_text", simulate={"seconds": 0})).result == {
        "text": "a simulated caption of an image"
    }


def test_it_takes_the_time_it_was_told(bench: Bench, tmp_path: Path) -> None:
    outcome = completed(run(bench, tmp_path, simulate={"seconds": 0.2, "steps": 4}))
    assert outcome.inference_seconds >= 0.2


def test_many_run_at_once_on_one_lane(bench: Bench, tmp_path: Path) -> None:
    """Twenty of 0.5 s one after the other would take ten seconds; the slowest may end long before the sum."""
    for number in range(20):
        start(bench, tmp_path, "llm", str(number), simulate={"seconds": 0.5, "steps": 5})
    took = [completed(bench.reports.outcome(str(number))).inference_seconds for number in range(20)]
    assert sum(took) >= 10.0
    assert max(took) < 5.0


def test_a_newcomer_does_not_wait_for_the_next_step_of_another(bench: Bench, tmp_path: Path) -> None:
    lane = start(bench, tmp_path, "llm", "slow", simulate={"seconds": 60, "steps": 1})
    completed(run(bench, tmp_path, request_id="quick", simulate={"seconds": 0}))
    assert not any(isinstance(report, Finished) and report.request_id == "slow" for report in bench.reports.all)
    lane.cancel("slow")
    assert isinstance(bench.reports.outcome("slow"), Cancelled)


def test_a_cancelled_text_keeps_the_words_that_were_said(bench: Bench, tmp_path: Path) -> None:
    lane = start(bench, tmp_path, "llm", "a", simulate={"seconds": 20, "steps": 2000})
    wait_until(lambda: any(isinstance(r, Progress) and r.text_delta for r in bench.reports.all))
    lane.cancel("a")
    outcome = bench.reports.outcome("a")
    assert isinstance(outcome, Cancelled)
    assert outcome.result is not None
    assert outcome.result["text"].startswith("You")
    said = "".join(report.text_delta for report in bench.reports.all if isinstance(report, Progress))
    assert said == outcome.result["text"]


def test_it_fails_on_its_first_attempts_only(bench: Bench, tmp_path: Path) -> None:
    simulate = {"seconds": 0, "fail": "error", "fail_attempts": 2}
    for number in (1, 2):
        start(bench, tmp_path, "llm", str(number), number, simulate=simulate)
        failed = bench.reports.outcome(str(number))
        assert isinstance(failed, Failed)
        assert failed.code == "internal_error"
    start(bench, tmp_path, "llm", "3", 3, simulate=simulate)
    completed(bench.reports.outcome("3"))


def test_one_that_ignores_its_cancel_completes(bench: Bench, tmp_path: Path) -> None:
    lane = start(bench, tmp_path, "llm", "a", simulate={"seconds": 0.4, "steps": 4, "fail": "ignore_cancel"})
    wait_until(lambda: any(isinstance(report, Progress) for report in bench.reports.all))
    before = lane.pulse().steps
    lane.cancel("a")
    wait_until(lambda: lane.pulse().steps > before)
    assert completed(bench.reports.outcome("a")).inference_seconds >= 0.4


def test_load_time_and_memory_make_it_another_model() -> None:
    plain = registry.model_of(ask("a", "llm", Path("/nonexistent")))
    costly = registry.model_of(
        ask("b", "llm", Path("/nonexistent"), simulate={"load_seconds": 0.25, "memory_mib": 300})
    )
    assert (plain.memory_mib, costly.memory_mib) == (0, 300)
    assert costly.options["load_seconds"] == 0.25
    assert plain != costly


def test_a_load_takes_the_time_it_was_told(bench: Bench, tmp_path: Path) -> None:
    waited = threading.Event()
    costly = registry.model_of(ask("a", "llm", tmp_path, simulate={"load_seconds": 0.2, "seconds": 0}))
    bench.submit_request(replace(ask("a", "llm", tmp_path, simulate={"seconds": 0}), model=costly))
    assert not waited.wait(0.05)
    assert not any(isinstance(report, Finished) for report in bench.reports.all)
    completed(bench.reports.outcome("a"))


def test_what_is_not_said_has_the_documented_default() -> None:
    assert Plan.of(ask("a", "llm", Path("/nonexistent"))) == Plan(0.05, 10, 0.0, 0, None, 1)


def test_torch_is_not_needed() -> None:
    assert not registry.needs_libraries(spec())
    assert isinstance(registry.create(spec()), SimulatedRunner)


def test_want_of_memory_is_simulated_with_all_that_follows(bench: Bench, tmp_path: Path) -> None:
    failed = run(bench, tmp_path, simulate={"seconds": 0, "fail": "out_of_memory"})
    assert isinstance(failed, Failed)
    assert (failed.code, failed.relief) == ("cuda_out_of_memory", ("free_cache",))
