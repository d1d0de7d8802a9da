"""Captions that share one call of the model, in a lane without a process: what they say, and how they end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gpu_worker.engine.protocol import Cancelled, Completed, Finished, ModelSpec, Progress, Submit
from gpu_worker.runners import registry
from gpu_worker.runners.text_stream import TextStream
from tests.unit.engine.scripted import Bench

pytestmark = pytest.mark.slow  # seconds of torch

Models = dict[str, ModelSpec]
COLOURS = ("red", "green", "blue", "orange", "white", "black")


@pytest.fixture
def bench() -> Iterator[Bench]:
    torch.set_num_threads(1)
    bench = Bench()
    yield bench
    bench.cache.evict_idle()


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that the lanes made, with the rows of each call in `calls`."""
    made: list[Any] = []
    create = registry.create

    def spy(spec: ModelSpec) -> Any:
        runner: Any = create(spec)
        setup, runner.calls = runner.setup, []

        def set_up(*arguments: Any) -> int:
            memory_mib: int = setup(*arguments)
            generate = runner.model.generate
            runner.model.generate = lambda **given: (
                runner.calls.append(len(given["pixel_values"])),
                generate(**given),
            )
            return memory_mib

        runner.setup = set_up
        made.append(runner)
        return runner

    monkeypatch.setattr(registry, "create", spy)
    return made


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    for number, colour in enumerate(COLOURS):
        noise = Image.effect_noise((48, 48), 40 + 30 * number).convert("RGB")
        Image.blend(noise, Image.new("RGB", (48, 48), colour), 0.5).save(tmp_path / f"{colour}.png")
    return [str(tmp_path / f"{colour}.png") for colour in COLOURS]


def gathering(model: ModelSpec, number: int, wait_ms: int = 60_000) -> ModelSpec:
    """It waits until as many are there, and takes them together."""
    return replace(model, options={"batch_wait_ms": wait_ms, "max_concurrent": number})


def say(bench: Bench, model: ModelSpec, image: str, name: str, prompt: str | None = None, **parameters: Any) -> Submit:
    given = {"image": image} | ({"prompt": prompt} if prompt else {})
    request = Submit(name, model, given, {"max_new_tokens": 12, "seed": 3} | parameters, "/nonexistent")
    bench.submit_request(request)
    return request


def told(bench: Bench, request: Submit) -> tuple[Any, Any]:
    outcome = bench.reports.outcome(request.request_id)
    assert isinstance(outcome, Completed), outcome
    return outcome.result, outcome.usage


def that_samples(model: ModelSpec, folder: Path) -> ModelSpec:
    """The same weights, with a configuration that draws its tokens."""
    copy = Path(shutil.copytree(model.source, folder / model.name))
    path = copy / "generation_config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | {"do_sample": True, "temperature": 1.5, "top_k": 0}))
    return replace(model, source=str(copy))


@pytest.mark.parametrize("kind", ["caption", "seeing"])
@pytest.mark.parametrize("prompt", [None, "a picture of"])
@pytest.mark.parametrize("samples", [False, True])
def test_they_say_together_what_they_say_alone(
    bench: Bench,
    runners: list[Any],
    images: list[str],
    models: Models,
    tmp_path: Path,
    kind: str,
    prompt: str | None,
    samples: bool,
) -> None:
    model = that_samples(models[kind], tmp_path) if samples else models[kind]

    def ask(model: ModelSpec) -> list[Submit]:
        return [
            say(bench, model, image, f"{model.name} {number}", prompt, max_new_tokens=4 + number, seed=number)
            for number, image in enumerate(images)
        ]

    expected = [told(bench, request) for request in ask(gathering(replace(model, name="alone"), 1))]
    together = ask(gathering(replace(model, name="together"), len(images)))
    assert [told(bench, request) for request in together] == expected
    assert [runner.calls for runner in runners] == [[1] * len(images), [len(images)]]
    if samples:
        assert len({str(said) for said, _ in expected}) > 1


def test_prompts_that_differ_are_not_mixed(bench: Bench, runners: list[Any], images: list[str], models: Models) -> None:
    model = gathering(models["seeing"], 3, wait_ms=2000)
    prompts = ("what?", "a much longer prompt than that", "what?")
    requests = [say(bench, model, images[0], str(number), prompt) for number, prompt in enumerate(prompts)]
    said = [told(bench, request) for request in requests]
    assert said[0] == said[2] != said[1]
    assert runners[0].calls == [2, 1]


def test_one_that_is_cancelled_leaves_and_changes_nothing_for_the_others(
    bench: Bench, runners: list[Any], images: list[str], models: Models
) -> None:
    quiet = [say(bench, models["seeing"], image, image, max_new_tokens=60) for image in images[:3]]
    expected = [told(bench, request) for request in quiet]
    model = gathering(replace(models["seeing"], name="together"), 3)
    requests = [say(bench, model, image, str(n), max_new_tokens=60) for n, image in enumerate(images[:3])]
    bench.reports.wait_for(lambda report: isinstance(report, Progress) and report.request_id == "1")
    bench.cache.lanes()[-1].cancel("1")
    cancelled = bench.reports.outcome("1")
    assert isinstance(cancelled, Cancelled)
    assert cancelled.usage.output_tokens is not None
    assert 0 < cancelled.usage.output_tokens < 60
    assert [told(bench, requests[0]), told(bench, requests[2])] == [expected[0], expected[2]]
    ends = [report.request_id for report in bench.reports.all if isinstance(report, Finished)]
    assert ends.index("1") < ends.index("0")


def test_a_text_is_streamed_once_even_if_the_first_call_broke_off(
    bench: Bench, runners: list[Any], images: list[str], models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = told(bench, say(bench, models["seeing"], images[0], "undisturbed"))
    push, calls = TextStream.push, []

    def break_off(stream: TextStream, token: int) -> str:
        calls.append(token)
        if len(calls) == 5:
            raise RuntimeError("can't allocate memory")
        return push(stream, token)

    monkeypatch.setattr(TextStream, "push", break_off)
    said, _ = told(bench, say(bench, models["seeing"], images[0], "disturbed"))
    assert said == expected
    deltas = [r.text_delta for r in bench.reports.all if isinstance(r, Progress) and r.request_id == "disturbed"]
    assert "".join(deltas).strip() == said["text"]
