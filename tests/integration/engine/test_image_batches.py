"""Images that share one call of the pipeline, in a lane without a process: what they look like, and who leaves when."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_worker.engine.protocol import Cancelled, Completed, Finished, ModelSpec, Submit
from gpu_worker.runners import registry
from gpu_worker.runners.base import Execution
from tests.integration.engine.tiny_models import large_image_model
from tests.unit.engine.scripted import Bench

pytestmark = [
    pytest.mark.slow,  # seconds of torch
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of diffusers, inside its schedulers above all
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
]

Models = dict[str, ModelSpec]
SMALL = {"width": 64, "height": 64, "num_inference_steps": 4, "guidance_scale": 3.0}
PROMPTS = ("a red fox", "a blue car", "the sea", "a red fox")
SCHEDULERS = {
    "DDIMScheduler": {},
    "PNDMScheduler": {"skip_prk_steps": True},
    "EulerAncestralDiscreteScheduler": {},
    "DPMSolverMultistepScheduler": {},
    "UniPCMultistepScheduler": {},
    "HeunDiscreteScheduler": {},
}


class Calls:
    """How many rows each step had, and what else is to happen in a step."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.in_step: dict[int, Any] = {}
        self.room = 100  # rows that the device has memory for

    def watch(self, unet: Any) -> None:
        forward = unet.forward

        def counting(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.rows.append(sample.shape[0] // 2)  # once without guidance, once with it
            if self.rows[-1] > self.room:
                raise RuntimeError("can't allocate memory")
            self.in_step.pop(len(self.rows), lambda: None)()
            return forward(sample, *args, **kwargs)

        unet.forward = counting


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls, create = Calls(), registry.create

    def spy(spec: ModelSpec) -> Any:
        runner: Any = create(spec)
        setup = runner.setup

        def set_up(*arguments: Any) -> int:
            memory_mib: int = setup(*arguments)
            calls.watch(runner.pipeline.unet)
            return memory_mib

        runner.setup = set_up
        return runner

    monkeypatch.setattr(registry, "create", spy)
    return calls


@pytest.fixture
def bench() -> Iterator[Bench]:
    torch.set_num_threads(1)
    bench = Bench()
    yield bench
    bench.cache.evict_idle()


@pytest.fixture(params=[*SCHEDULERS, "XL"])
def model(request: pytest.FixtureRequest, models: Models, tmp_path: Path) -> ModelSpec:
    """The tiny pipeline with each kind of scheduler, and one of the XL kind."""
    if request.param == "XL":
        return replace(models["image"], source=str(large_image_model(tmp_path / "model")))
    folder = Path(shutil.copytree(models["image"].source, tmp_path / "model"))
    path = folder / "scheduler" / "scheduler_config.json"
    config = {**json.loads(path.read_text()), "_class_name": request.param, **SCHEDULERS[request.param]}
    path.write_text(json.dumps(config))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", request.param]}))
    return replace(models["image"], source=str(folder))


def gathering(model: ModelSpec, number: int, name: str) -> ModelSpec:
    return replace(model, name=name, options={"batch_wait_ms": 60_000, "max_concurrent": number})


def ask(bench: Bench, model: ModelSpec, tmp_path: Path, **parameters: Any) -> list[Submit]:
    requests = [
        Submit(
            f"{model.name} {number}",
            model,
            {"prompt": prompt, "negative_prompt": "blurry" if number else ""},
            {**SMALL, "seed": number, **parameters},
            str(tmp_path / f"{model.name} {number}"),
        )
        for number, prompt in enumerate(PROMPTS)
    ]
    for request in requests:
        bench.submit_request(request)
    return requests


def drawn(bench: Bench, request: Submit) -> Any:
    outcome = bench.reports.outcome(request.request_id)
    assert isinstance(outcome, Completed), outcome
    return np.stack([np.asarray(Image.open(file.path), dtype=np.int16) for file in outcome.files])


def test_they_are_drawn_together_as_they_are_alone(
    bench: Bench, calls: Calls, model: ModelSpec, tmp_path: Path
) -> None:
    alone = [drawn(bench, request) for request in ask(bench, gathering(model, 1, "alone"), tmp_path)]
    together = [drawn(bench, request) for request in ask(bench, gathering(model, 4, "together"), tmp_path)]
    assert max(np.abs(one - other).max() for one, other in zip(alone, together, strict=True)) <= 1
    assert np.abs(alone[0] - alone[3]).max() > 20  # the same prompt, another seed
    steps = len(calls.rows) // 5
    assert calls.rows == [1] * 4 * steps + [4] * steps


def test_one_that_is_cancelled_leaves_at_the_next_step_and_changes_no_other(
    bench: Bench, calls: Calls, model: ModelSpec, tmp_path: Path
) -> None:
    alone = [drawn(bench, request) for request in ask(bench, gathering(model, 1, "alone"), tmp_path)]
    together = gathering(model, 4, "together")
    calls.rows.clear()
    calls.in_step = {2: lambda: bench.cache.lanes()[-1].cancel("together 1")}
    requests = ask(bench, together, tmp_path)
    assert isinstance(bench.reports.outcome("together 1"), Cancelled)
    for number in (0, 2, 3):
        assert np.abs(drawn(bench, requests[number]) - alone[number]).max() <= 1
    assert calls.rows[:2] == [4, 4]
    assert set(calls.rows[2:]) == {3}
    ends = [report.request_id for report in bench.reports.all if isinstance(report, Finished)]
    assert ends.index("together 1") < ends.index("together 0")


def test_a_pipeline_that_keeps_more_rows_than_it_shows_draws_a_cancelled_one_for_nobody(
    bench: Bench, calls: Calls, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_worker.runners.image_rows.SHORTENS", {})
    calls.in_step = {2: lambda: bench.cache.lanes()[-1].cancel("together 1")}
    requests = ask(bench, gathering(models["image"], 4, "together"), tmp_path)
    assert isinstance(bench.reports.outcome("together 1"), Cancelled)
    assert len([drawn(bench, requests[number]) for number in (0, 2, 3)]) == 3
    assert calls.rows == [4, 4, 4, 4]
    assert not (tmp_path / "together 1").exists()


def test_a_call_that_nobody_wants_any_more_stops(bench: Bench, calls: Calls, models: Models, tmp_path: Path) -> None:
    calls.in_step = {2: lambda: [bench.cache.lanes()[-1].cancel(f"together {number}") for number in range(4)]}
    for request in ask(bench, gathering(models["image"], 4, "together"), tmp_path):
        assert isinstance(bench.reports.outcome(request.request_id), Cancelled)
    assert calls.rows == [4, 4]


def test_requests_for_more_images_than_fit_take_turns(
    bench: Bench, calls: Calls, models: Models, tmp_path: Path
) -> None:
    model = replace(models["image"], name="narrow", options={"batch_images": 3, "batch_wait_ms": 0})
    images = [drawn(bench, request) for request in ask(bench, model, tmp_path, num_images=4)]
    assert {len(image) for image in images} == {4}
    assert calls.rows == ([3] * 4 + [1] * 4) * 4


@pytest.mark.parametrize(
    ("parameters", "given", "together"),
    [
        ({}, {}, True),
        ({"seed": 7}, {"prompt": "other"}, True),
        ({"width": 128}, {}, False),
        ({"num_inference_steps": 5}, {}, False),
        ({"guidance_scale": 4.0}, {}, False),
        ({"num_images": 2}, {}, False),
        ({}, {"negative_prompt": None}, False),
    ],
)
def test_only_what_a_call_has_one_of_must_be_equal(
    models: Models, parameters: dict[str, Any], given: dict[str, Any], together: bool
) -> None:
    runner = registry.create(models["image"])

    def company(parameters: dict[str, Any], given: dict[str, Any]) -> Any:
        given = {"prompt": "a red fox", "negative_prompt": "blurry", **given}
        return runner.company(Execution(Submit("", models["image"], given, {**SMALL, **parameters}, "")))

    assert (company({}, {}) == company(parameters, given)) is together


def test_images_that_do_not_fit_together_are_drawn_in_smaller_pieces(
    bench: Bench, calls: Calls, models: Models, tmp_path: Path
) -> None:
    def draw(name: str) -> Completed:
        model = replace(models["image"], options={"batch_wait_ms": 0})
        request = Submit(
            name, model, {"prompt": "the sea"}, {**SMALL, "seed": 1, "num_images": 4}, str(tmp_path / name)
        )
        bench.submit_request(request)
        outcome = bench.reports.outcome(name)
        assert isinstance(outcome, Completed), outcome
        return outcome

    def pixels(outcome: Completed) -> Any:
        return np.stack([np.asarray(Image.open(file.path), dtype=np.int16) for file in outcome.files])

    undisturbed = draw("undisturbed")
    calls.rows.clear()
    calls.room = 2
    squeezed = draw("squeezed")
    assert squeezed.relief == ("free_cache", "smaller_pieces")
    assert calls.rows == [4, 4] + [2] * 4 + [2] * 4
    assert np.abs(pixels(undisturbed) - pixels(squeezed)).max() <= 1
