"""Stable Diffusion in a real engine: a tiny pipeline that draws noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec
from tests.integration.engine.harness import Harness

SMALL: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 3, "guidance_scale": 3.0}
FOX = {"prompt": "a red fox", "negative_prompt": "blurry"}
Models = dict[str, ModelSpec]


def files(outcome: Completed) -> list[bytes]:
    return [Path(file.path).read_bytes() for file in outcome.files]


def pixels(outcome: Completed) -> list[Any]:
    """Grey levels, as numbers that can be subtracted."""
    return [np.asarray(Image.open(file.path), dtype=np.int16) for file in outcome.files]


def test_it_draws_images_of_the_size_asked_for(warm_engine: Harness, models: Models) -> None:
    outcome = warm_engine.completed(models["image"], FOX, **SMALL | {"width": 96, "seed": 4, "num_images": 2})
    assert outcome.result["images"] == [
        {"file": 0, "width": 96, "height": 64, "seed": 4},
        {"file": 1, "width": 96, "height": 64, "seed": 5},
    ]
    assert outcome.usage.images == 2
    for file in outcome.files:
        with Image.open(file.path) as image:
            image.load()
            assert image.size == (96, 64)


def test_a_seed_draws_the_same_image_alone_or_as_one_of_several(warm_engine: Harness, models: Models) -> None:
    first, second = pixels(warm_engine.completed(models["image"], FOX, **SMALL, seed=7, num_images=2))
    [seven] = pixels(warm_engine.completed(models["image"], FOX, **SMALL, seed=7))
    [eight] = pixels(warm_engine.completed(models["image"], FOX, **SMALL, seed=8))
    assert np.abs(seven - first).max() <= 1
    assert np.abs(eight - second).max() <= 1
    assert np.abs(first - second).max() > 20


def test_the_same_request_draws_the_same_bytes(warm_engine: Harness, models: Models) -> None:
    first, again = (files(warm_engine.completed(models["image"], FOX, **SMALL, seed=7, num_images=2)) for _ in range(2))
    assert first == again


def test_a_seed_of_our_choice_is_told_and_draws_the_same_again(warm_engine: Harness, models: Models) -> None:
    drawn = warm_engine.completed(models["image"], FOX, **SMALL)
    seed = drawn.result["images"][0]["seed"]
    assert files(warm_engine.completed(models["image"], FOX, **SMALL, seed=seed)) == files(drawn)


def test_the_prompts_and_the_guidance_count(warm_engine: Harness, models: Models) -> None:
    drawn = [
        files(warm_engine.completed(models["image"], given, **SMALL | {"seed": 1, "guidance_scale": guidance}))[0]
        for given, guidance in (
            (FOX, 3.0),
            ({**FOX, "prompt": "a blue car"}, 3.0),
            ({**FOX, "negative_prompt": "red"}, 3.0),
            (FOX, 9.0),
        )
    ]
    assert len(set(drawn)) == 4


@pytest.mark.parametrize(("kind", "written"), [("png", "PNG"), ("webp", "WEBP"), ("jpeg", "JPEG")])
def test_it_writes_the_format_asked_for(warm_engine: Harness, models: Models, kind: str, written: str) -> None:
    [file] = warm_engine.completed(models["image"], FOX, **SMALL, format=kind).files
    assert file.content_type == f"image/{kind}"
    with Image.open(file.path) as image:
        assert image.format == written


def test_progress_counts_the_steps_of_all_images(warm_engine: Harness, models: Models) -> None:
    request_id = warm_engine.submit(models["image"], FOX, **SMALL | {"num_inference_steps": 5}, num_images=2)
    warm_engine.outcome(request_id)
    last = warm_engine.progressed(request_id)[-1]
    assert (last.step, last.total_steps) == (10, 10)


def test_a_cancel_stops_it_between_two_steps(warm_engine: Harness, models: Models) -> None:
    request_id = warm_engine.submit(models["image"], FOX, **SMALL | {"num_inference_steps": 150}, num_images=4)
    warm_engine.progressed(request_id)
    warm_engine.process.cancel(request_id)
    assert isinstance(warm_engine.outcome(request_id), Cancelled)
    assert warm_engine.progressed(request_id)[-1].step < 600
    warm_engine.completed(models["image"], FOX, **SMALL)


def test_a_size_that_the_model_cannot_draw_is_named(warm_engine: Harness, models: Models) -> None:
    failed = warm_engine.failed(models["image"], FOX, **SMALL | {"height": 60})
    assert (failed.code, failed.param) == ("invalid_input", "parameters.height")


def test_a_prompt_that_is_cut_is_told(warm_engine: Harness, models: Models) -> None:
    assert "notices" not in warm_engine.completed(models["image"], {"prompt": "fox"}, **SMALL).result
    [notice] = warm_engine.completed(models["image"], {"prompt": "fox " * 30}, **SMALL).result["notices"]
    assert "reads the first 16" in notice
