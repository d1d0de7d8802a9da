"""Loading in a real engine: what is refused, what a failure says, and what stays warm."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker.engine.protocol import Completed, ModelSpec
from tests.integration.engine.harness import Harness

pytestmark = pytest.mark.slow  # seconds of torch

Models = dict[str, ModelSpec]
KINDS = {
    "chat": {"prompt": "x"},
    "image": {"prompt": "x"},
    "voice": {"text": "x"},
    "caption": {"image": "/nonexistent"},
}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spoilt(kind: str, models: Models, tmp_path: Path) -> ModelSpec:
    """A copy of a good model, to be spoilt by the test."""
    shutil.copytree(models[kind].source, tmp_path / "model")
    return replace(models[kind], name="spoilt", source=str(tmp_path / "model"))


def test_pickle_weights_are_refused_and_never_opened(warm_engine: Harness, spoilt: ModelSpec, kind: str) -> None:
    marker = Path(spoilt.source) / "it-ran"
    for weights in Path(spoilt.source).rglob("*.safetensors"):
        weights.unlink()
        name = "diffusion_pytorch_model.bin" if "diffusion" in weights.name else "pytorch_model.bin"
        weights.with_name(name).write_bytes(f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode())
    failed = warm_engine.failed(spoilt, KINDS[kind])
    assert failed.code == "model_load_failed"
    assert "is a pickle" in failed.message
    assert not marker.exists()


def test_code_beside_the_weights_is_refused_and_not_run(warm_engine: Harness, spoilt: ModelSpec, kind: str) -> None:
    marker = Path(spoilt.source) / "it-ran"
    (Path(spoilt.source) / "modeling.py").write_text(f"open({str(marker)!r}, 'w')")
    failed = warm_engine.failed(spoilt, KINDS[kind])
    assert failed.code == "model_load_failed"
    assert "modeling.py is code" in failed.message
    assert not marker.exists()


def test_damaged_weights_fail_with_the_librarys_reason(warm_engine: Harness, spoilt: ModelSpec, kind: str) -> None:
    weights = next(Path(spoilt.source).rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    failed = warm_engine.failed(spoilt, KINDS[kind])
    assert failed.code == "model_load_failed"
    assert "afetensor" in failed.message
    assert "Traceback" in failed.detail


def test_a_model_that_is_on_no_disk_fails_at_once_when_offline(warm_engine: Harness) -> None:
    failed = warm_engine.failed(ModelSpec("m", "llm", "transformers", "baton/is-not-there"), {"prompt": "x"})
    assert failed.code == "model_load_failed"
    assert "offline" in failed.message.lower() or "outgoing traffic" in failed.message


def test_a_model_of_the_wrong_kind_is_refused(warm_engine: Harness, models: Models) -> None:
    failed = warm_engine.failed(replace(models["voice"], name="wrong", task_type="llm"), {"prompt": "x"})
    assert failed.code == "model_load_failed"


def test_a_loaded_model_is_warm_with_the_memory_it_takes(warm_engine: Harness, models: Models) -> None:
    warm_engine.completed(models["chat"], {"prompt": "x"}, max_new_tokens=1)
    assert {model.name: model.memory_mib for model in warm_engine.next_pulse().warm}["chat"] == 1 + 2  # weights, cache


def test_a_model_is_unloaded_after_its_keep_alive_and_loads_again(warm_engine: Harness, models: Models) -> None:
    brief = replace(models["base"], name="brief", keep_alive_seconds=0.0)
    for _ in range(2):
        request_id = warm_engine.submit(brief, {"prompt": "x"}, max_new_tokens=1)
        assert isinstance(warm_engine.outcome(request_id), Completed)
        assert [phase.phase for phase in warm_engine.phases(request_id)] == ["loading_model", "inference"]
        warm_engine.next_pulse()
        assert "brief" not in [model.name for model in warm_engine.next_pulse().warm]


def test_models_load_side_by_side_while_the_libraries_are_still_being_imported(
    tmp_path: Path, models: Models, red_image: str
) -> None:
    """The preload and four lanes want torch at the same moment; half-made modules must not be seen by any."""
    given = {**KINDS, "caption": {"image": red_image}}
    with Harness(tmp_path, {"ENGINE_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}) as engine:
        small = {"max_new_tokens": 2, "width": 64, "height": 64, "num_inference_steps": 1}
        ids = [engine.submit(models[kind], given[kind], **small) for kind in KINDS]
        for request_id in ids:
            outcome = engine.outcome(request_id)
            assert isinstance(outcome, Completed), outcome
