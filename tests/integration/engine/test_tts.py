"""Text to speech in a real engine: a tiny VITS that hums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec
from tests.integration.engine.harness import Harness

HELLO = {"text": "Hello there. How are you?"}
Models = dict[str, ModelSpec]


def sound(outcome: Completed) -> bytes:
    return Path(outcome.files[0].path).read_bytes()


@pytest.mark.parametrize(("kind", "container"), [("wav", "WAV"), ("flac", "FLAC"), ("mp3", "MP3"), ("ogg", "OGG")])
def test_it_speaks_in_the_format_asked_for(warm_engine: Harness, models: Models, kind: str, container: str) -> None:
    outcome = warm_engine.completed(models["voice"], HELLO, format=kind, seed=1)
    audio = outcome.result["audio"]
    written = soundfile.info(outcome.files[0].path)
    assert written.format == container
    assert written.samplerate == audio["sample_rate"] == 16000
    assert written.duration == pytest.approx(audio["duration_seconds"], abs=0.1)
    assert outcome.usage.audio_seconds == audio["duration_seconds"]


def test_the_same_seed_makes_the_same_samples_and_another_others(warm_engine: Harness, models: Models) -> None:
    def speak(seed: int) -> bytes:
        return sound(warm_engine.completed(models["voice"], HELLO, seed=seed))

    assert speak(1) == speak(1) != speak(2)


def test_noise_drawn_in_other_lanes_changes_no_sample(warm_engine: Harness, models: Models) -> None:
    """VITS draws from torch's global stream by itself; here three lanes draw at the same time."""
    alone = sound(warm_engine.completed(models["voice"], HELLO, seed=3))
    second_lane = ModelSpec("voice again", "tts", "transformers", models["voice"].source)
    warm_engine.completed(second_lane, HELLO)
    neighbours = [
        warm_engine.submit(models["image"], {"prompt": "fox"}, width=64, height=64, num_inference_steps=40),
        *(warm_engine.submit(second_lane, HELLO, seed=seed) for seed in range(6)),
        *(warm_engine.submit(models["chat"], {"prompt": "x"}, max_new_tokens=100) for _ in range(3)),
    ]
    for _ in range(4):
        assert sound(warm_engine.completed(models["voice"], HELLO, seed=3)) == alone
    for request_id in neighbours:
        assert isinstance(warm_engine.outcome(request_id), Completed)


def test_progress_counts_the_sentences(warm_engine: Harness, models: Models) -> None:
    request_id = warm_engine.submit(models["voice"], {"text": "One. Two! Three? !!! Four"})
    warm_engine.outcome(request_id)
    last = warm_engine.progressed(request_id)[-1]
    assert (last.step, last.total_steps) == (4, 4)


def test_a_voice_is_chosen_by_number_or_by_the_name_it_has_in_the_catalogue(
    warm_engine: Harness, models: Models
) -> None:
    named = replace(models["voice"], options={"voices": {"anna": 0, "bob": 3}})

    def speak(model: ModelSpec, voice: str) -> bytes:
        return sound(warm_engine.completed(model, HELLO, seed=1, voice=voice))

    assert speak(models["voice"], "3") == speak(named, "bob") != speak(named, "anna")


@pytest.mark.parametrize("voice", ["4", "bob", "-1"])
def test_a_voice_that_is_not_there_is_named(warm_engine: Harness, models: Models, voice: str) -> None:
    failed = warm_engine.failed(models["voice"], HELLO, voice=voice)
    assert (failed.code, failed.param) == ("invalid_input", "parameters.voice")
    assert "0 to 3" in failed.message


def test_twice_the_speed_takes_about_half_the_time(warm_engine: Harness, models: Models) -> None:
    def seconds(speed: float) -> float:
        outcome = warm_engine.completed(models["voice"], HELLO, seed=1, speed=speed)
        return float(outcome.result["audio"]["duration_seconds"])

    assert seconds(2.0) == pytest.approx(seconds(1.0) / 2, rel=0.15)


@pytest.mark.parametrize("text", ["", "   \n ", "!?...", "42", "你好"])
def test_text_without_a_letter_that_it_knows_is_refused(warm_engine: Harness, models: Models, text: str) -> None:
    failed = warm_engine.failed(models["voice"], {"text": text})
    assert (failed.code, failed.param) == ("invalid_input", "input.text")


def test_it_shows_signs_of_life_inside_a_sentence(warm_engine: Harness, models: Models) -> None:
    """By the same hook that stops it there: a slow model is not taken for a hung one."""

    def steps() -> int:
        return next(lane.steps for lane in warm_engine.next_pulse().lanes if lane.model.startswith("voice#"))

    warm_engine.completed(models["voice"], HELLO)
    before = steps()
    warm_engine.completed(models["voice"], {"text": "one sentence"})
    assert steps() - before > 20


def test_a_cancel_stops_it_inside_a_text_without_any_full_stop(warm_engine: Harness, models: Models) -> None:
    request_id = warm_engine.submit(models["voice"], {"text": "on and on it goes " * 2000}, seed=1)
    warm_engine.progressed(request_id)
    warm_engine.process.cancel(request_id)
    assert isinstance(warm_engine.outcome(request_id), Cancelled)
    warm_engine.completed(models["voice"], HELLO)
