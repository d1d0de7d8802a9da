"""The same runners and the same tiny models, on a CUDA device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpu_worker import telemetry
from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec
from tests.integration.engine.harness import Harness
from tests.integration.engine.test_adapters import language_adapter

pytestmark = pytest.mark.gpu

Models = dict[str, ModelSpec]
PARAMETERS: dict[str, dict[str, Any]] = {
    "chat": {"max_new_tokens": 20, "seed": 1},
    "image": {"width": 64, "height": 64, "num_inference_steps": 4, "seed": 1},
    "voice": {"seed": 1},
    "caption": {"max_new_tokens": 10},
    "seeing": {"max_new_tokens": 10},
}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    Image.new("RGB", (50, 40), "red").save(tmp_path / "red.png")
    return {"prompt": "a red fox", "text": "Hello there. How are you?", "image": str(tmp_path / "red.png")}


def outputs(outcome: Completed) -> tuple[dict[str, Any], list[bytes]]:
    return outcome.result, [Path(file.path).read_bytes() for file in outcome.files]


def test_it_says_that_it_runs_on_the_gpu(gpu_engine: Harness) -> None:
    found = gpu_engine.ready().device
    assert found.type == "cuda"
    assert found.memory_total_mib > 1000
    assert 0 < gpu_engine.next_pulse().memory_used_mib <= found.memory_total_mib


@pytest.mark.parametrize("kind", sorted(PARAMETERS))
@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_every_kind_completes_and_a_seed_repeats_itself(
    gpu_engine: Harness, models: Models, given: dict[str, str], kind: str, dtype: str
) -> None:
    model = replace(models[kind], name=f"{kind} {dtype}", dtype=dtype)
    first, second = (gpu_engine.completed(model, given, **PARAMETERS[kind]) for _ in range(2))
    assert outputs(first) == outputs(second)


def test_kinds_run_side_by_side(gpu_engine: Harness, models: Models, given: dict[str, str]) -> None:
    models = {kind: replace(model, options={"max_concurrent": 1}) for kind, model in models.items()}
    alone = {kind: outputs(gpu_engine.completed(models[kind], given, **PARAMETERS[kind])) for kind in PARAMETERS}
    ids = [(kind, gpu_engine.submit(models[kind], given, **PARAMETERS[kind])) for kind in [*PARAMETERS] * 4]
    for kind, request_id in ids:
        outcome = gpu_engine.outcome(request_id)
        assert isinstance(outcome, Completed), outcome
        assert outputs(outcome) == alone[kind]


def test_a_cancel_stops_an_image_between_two_steps(gpu_engine: Harness, models: Models, given: dict[str, str]) -> None:
    request_id = gpu_engine.submit(models["image"], given, **PARAMETERS["image"] | {"num_inference_steps": 150})
    gpu_engine.progressed(request_id)
    gpu_engine.process.cancel(request_id)
    assert isinstance(gpu_engine.outcome(request_id), Cancelled)


def test_images_drawn_together_look_alike_alone(gpu_engine: Harness, models: Models, given: dict[str, str]) -> None:
    """On average: convolutions of other batch sizes may take other, less exact ways through the GPU."""

    def pixels(outcome: Any) -> Any:
        assert isinstance(outcome, Completed), outcome
        return np.asarray(Image.open(outcome.files[0].path), dtype=np.int16)

    seeds = range(4)
    alone = [pixels(gpu_engine.run(models["image"], given, **PARAMETERS["image"] | {"seed": n})) for n in seeds]
    together = replace(models["image"], options={"batch_wait_ms": 60_000, "max_concurrent": len(seeds)})
    ids = [gpu_engine.submit(together, given, **PARAMETERS["image"] | {"seed": n}) for n in seeds]
    for request_id, expected in zip(ids, alone, strict=True):
        assert np.abs(pixels(gpu_engine.outcome(request_id)) - expected).mean() <= 1


def test_a_worker_tells_what_its_gpu_does(gpu_engine: Harness) -> None:
    told = telemetry.read()
    assert {"memory_used_mib", "utilization"} <= told.keys()
    assert 0 < told["memory_used_mib"] <= gpu_engine.ready().device.memory_total_mib
    assert 0 <= told["utilization"] <= 100


def test_an_adapter_changes_what_is_said_on_the_gpu(gpu_engine: Harness, models: Models, tmp_path: Path) -> None:
    folder = language_adapter(tmp_path / "pirate", models["chat"].source, 1)
    pirate = replace(models["chat"], name="pirate", base="chat", adapter=str(folder))
    say: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0}
    bare, adapted, again = (gpu_engine.completed(model, **say) for model in (models["chat"], pirate, models["chat"]))
    assert bare.result == again.result != adapted.result
