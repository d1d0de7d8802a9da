"""Image to text in a real engine: a tiny BLIP for captions, a tiny LLaVA for answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec
from tests.integration.engine.harness import Harness

Models = dict[str, ModelSpec]


@pytest.mark.parametrize("model", ["caption", "seeing"])
@pytest.mark.parametrize("prompt", [None, "a picture of"])
def test_it_streams_a_text_with_and_without_a_prompt(
    warm_engine: Harness, models: Models, red_image: str, model: str, prompt: str | None
) -> None:
    given = {"image": red_image} | ({"prompt": prompt} if prompt else {})
    request_id = warm_engine.submit(models[model], given, max_new_tokens=12)
    outcome = warm_engine.outcome(request_id)
    assert isinstance(outcome, Completed)
    assert outcome.result["text"] == warm_engine.text(request_id).strip() != ""
    assert outcome.usage.output_tokens is not None
    assert 0 < outcome.usage.output_tokens <= 12


def test_the_image_and_the_prompt_count(warm_engine: Harness, models: Models, red_image: str, tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 200).convert("RGB").save(tmp_path / "noise.png")
    said = {
        warm_engine.completed(models["seeing"], {"image": image, "prompt": prompt}, max_new_tokens=12).result["text"]
        for image in (red_image, str(tmp_path / "noise.png"))
        for prompt in ("what?", "where?")
    }
    assert len(said) >= 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_any_kind_of_pixel_will_do(warm_engine: Harness, models: Models, tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tiff" if mode == "CMYK" else "image.png")
    Image.new(mode, (30, 20)).save(path)
    warm_engine.completed(models["caption"], {"image": str(path)}, max_new_tokens=2)


def test_the_same_input_says_the_same(warm_engine: Harness, models: Models, red_image: str) -> None:
    def say() -> object:
        return warm_engine.completed(models["caption"], {"image": red_image}, max_new_tokens=12, seed=1).result

    assert say() == say()


def test_a_file_that_is_no_image_is_refused(warm_engine: Harness, models: Models, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    failed = warm_engine.failed(models["caption"], {"image": str(tmp_path / "text.png")})
    assert (failed.code, failed.param) == ("invalid_input", "input.image")


def test_an_image_that_breaks_off_is_refused(
    warm_engine: Harness, models: Models, red_image: str, tmp_path: Path
) -> None:
    Image.effect_noise((200, 200), 100).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    failed = warm_engine.failed(models["caption"], {"image": str(tmp_path / "half.png")})
    assert (failed.code, failed.param) == ("invalid_input", "input.image")


@pytest.mark.parametrize("side", [9000, 20_000])
def test_an_image_bomb_is_refused_before_it_is_unpacked(
    warm_engine: Harness, models: Models, tmp_path: Path, side: int
) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    before = warm_engine.next_pulse().memory_used_mib
    failed = warm_engine.failed(models["caption"], {"image": str(tmp_path / "bomb.png")})
    assert (failed.code, failed.param) == ("invalid_input", "input.image")
    assert warm_engine.next_pulse().memory_used_mib < before + 100


def test_a_cancel_stops_it_at_the_next_token(warm_engine: Harness, models: Models, red_image: str) -> None:
    request_id = warm_engine.submit(models["seeing"], {"image": red_image}, max_new_tokens=200)
    warm_engine.progressed(request_id)
    warm_engine.process.cancel(request_id)
    outcome = warm_engine.outcome(request_id)
    assert isinstance(outcome, Cancelled)
    assert outcome.usage.output_tokens is not None
    assert outcome.usage.output_tokens < 200
