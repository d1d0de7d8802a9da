"""Small pictures of an image while it is drawn: when they come, what they show, and that the image does not notice."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from gpu_worker.engine.protocol import Completed, ModelSpec, Progress
from gpu_worker.runners import previews
from gpu_worker.runners.previews import EVERY, SHARE, Previews
from tests.integration.engine.harness import Harness

pytestmark = pytest.mark.filterwarnings("ignore:.*diffusers.*:FutureWarning")
FOX = {"prompt": "a red fox"}
SLOW: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 150, "seed": 3}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Pipeline:
    """As much of one as they look at, with a real decoder."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        torch.manual_seed(0)
        self.vae: Any = AutoencoderKL(
            block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=4, latent_channels=4,
        ).eval()  # fmt: skip
        decode = self.vae.decode

        def slow(*args: Any, **kwargs: Any) -> Any:
            clock.now += seconds
            return decode(*args, **kwargs)

        self.vae.decode = slow


def opened(preview: bytes) -> Image.Image:
    image = Image.open(BytesIO(preview))
    image.load()
    return image


def test_a_preview_is_a_small_jpeg_of_the_images_proportions() -> None:
    clock = Clock()
    made = Previews(Pipeline(clock), clock)
    clock.now += 10
    image = opened(made.next(torch.randn(1, 4, 64, 128)))
    assert image.format == "JPEG"
    assert image.size == (2 * previews.SIDE, previews.SIDE)  # this decoder makes two pixels of a latent


def test_they_come_a_second_apart_and_cost_a_tenth_of_the_time_at_most() -> None:
    clock = Clock()
    quick, slow = Previews(Pipeline(clock), clock), Previews(Pipeline(clock, seconds=3.0), clock)
    latents = torch.randn(1, 4, 8, 8)
    assert not quick.next(latents)  # at once: what is done soon needs none
    clock.now += EVERY
    assert quick.next(latents)
    assert not quick.next(latents)
    clock.now += EVERY
    assert quick.next(latents)
    assert slow.next(latents)
    clock.now += 3.0 * SHARE - 0.1
    assert not slow.next(latents)
    clock.now += 0.2
    assert slow.next(latents)


def test_latents_that_no_decoder_takes_have_no_preview() -> None:
    clock = Clock()
    made = Previews(Pipeline(clock), clock)
    clock.now += 10
    assert made.next(torch.randn(1, 16, 4)) == b""  # packed, as some pipelines keep them
    pipeline = Pipeline(clock)
    pipeline.vae = None
    assert Previews(pipeline, clock).next(torch.randn(1, 4, 8, 8)) == b""


def test_a_decoder_that_says_no_scale_is_not_guessed_at() -> None:
    clock = Clock()
    pipeline = Pipeline(clock)
    pipeline.vae.register_to_config(scaling_factor=None)
    made = Previews(pipeline, clock)
    clock.now += 10
    assert made.next(torch.randn(1, 4, 8, 8)) == b""


def test_for_want_of_memory_the_preview_is_given_up_and_not_the_image() -> None:
    clock = Clock()
    pipeline = Pipeline(clock)
    tries: list[int] = []

    def full(*args: Any, **kwargs: Any) -> Any:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    pipeline.vae.decode = full
    made = Previews(pipeline, clock)
    for _ in range(2):
        clock.now += 10
        assert made.next(torch.randn(1, 4, 8, 8)) == b""
    assert len(tries) == 1


def test_what_is_wrong_with_a_decoder_is_not_hidden() -> None:
    clock = Clock()
    made = Previews(Pipeline(clock), clock)
    clock.now += 10
    with pytest.raises(RuntimeError, match="channels"):
        made.next(torch.randn(1, 3, 8, 8))


def test_a_decoder_that_overflows_in_half_precision_decodes_in_full_and_stays_as_it_was() -> None:
    clock = Clock()
    pipeline = Pipeline(clock)
    seen: list[torch.dtype] = []
    pipeline.vae.to(torch.float16).register_to_config(force_upcast=True)
    pipeline.vae.decoder.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    clock.now += 10
    made = Previews(pipeline, clock)
    clock.now += 10
    assert made.next(torch.randn(1, 4, 8, 8, dtype=torch.float16))
    assert seen == [torch.float32]
    assert pipeline.vae.dtype == torch.float16


@pytest.mark.slow
def test_who_asks_for_previews_gets_them_and_the_same_image(warm_engine: Harness, models: dict[str, ModelSpec]) -> None:
    plain = warm_engine.completed(models["image"], FOX, **SLOW)
    request = warm_engine.submit(models["image"], FOX, **SLOW, preview=True)
    shown = warm_engine.outcome(request)
    assert isinstance(shown, Completed)
    told = [report.preview for report in warm_engine.all(Progress) if report.request_id == request]
    pictures = [preview for preview in told if preview]
    assert pictures
    assert len(pictures) < len(told)
    assert opened(pictures[0]).size == (64, 64)
    images = [np.asarray(Image.open(Path(of.files[0].path))) for of in (plain, shown)]
    assert np.array_equal(*images)


@pytest.mark.slow
def test_who_does_not_ask_gets_none(warm_engine: Harness, models: dict[str, ModelSpec]) -> None:
    request = warm_engine.submit(models["image"], FOX, **SLOW)
    warm_engine.outcome(request)
    assert not any(report.preview for report in warm_engine.all(Progress) if report.request_id == request)
