"""What may be loaded and what it will take, decided from file names and headers alone: these files hold no weights."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import DeviceInfo, ModelSpec
from gpu_worker.runners import sources
from gpu_worker.runners.base import ModelRefused

CPU = Device(DeviceInfo("cpu", "test", 1000), threads=1, budget_mib=1000)
CUDA = Device(DeviceInfo("cuda", "test", 1000), threads=1, budget_mib=1000)
MILLION = 1024 * 1024  # elements; in float32 four MiB


def weights(path: Path, dtype: str = "F32", elements: int = MILLION) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": dtype, "shape": [elements], "data_offsets": [0, 1]}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def spec(folder: Path, **fields: object) -> ModelSpec:
    return replace(ModelSpec("m", "llm", "transformers", str(folder)), **fields)  # type: ignore[arg-type]


def test_memory_is_known_from_the_header(tmp_path: Path) -> None:
    weights(tmp_path / "model.safetensors")
    assert sources.locate(spec(tmp_path), CPU) == sources.Checkpoint(tmp_path, "float32", 5)


def test_the_catalogues_estimate_wins(tmp_path: Path) -> None:
    weights(tmp_path / "model.safetensors")
    assert sources.locate(spec(tmp_path, memory_mib=77), CPU).memory_mib == 77


@pytest.mark.parametrize(
    ("stored", "asked", "device", "dtype", "mib"),
    [
        ("F16", "auto", CPU, "float32", 5),
        ("F16", "auto", CUDA, "float16", 3),
        ("BF16", "auto", CUDA, "bfloat16", 3),
        ("F32", "float16", CUDA, "float16", 3),
        ("I64", "auto", CPU, "float32", 10),
    ],
)
def test_the_dtype_is_always_explicit_and_decides_the_memory(
    tmp_path: Path, stored: str, asked: str, device: Device, dtype: str, mib: int
) -> None:
    weights(tmp_path / "model.safetensors", stored)
    found = sources.locate(spec(tmp_path, dtype=asked), device)
    assert (found.dtype, found.memory_mib) == (dtype, mib)


def test_one_variant_of_the_weights_counts(tmp_path: Path) -> None:
    plain = weights(tmp_path / "model-00001-of-00001.safetensors")
    half = weights(tmp_path / "model.fp16-00001-of-00001.safetensors", "F16")
    assert sources.weight_files(tmp_path, None) == [plain]
    assert sources.weight_files(tmp_path, "fp16") == [half]


def test_of_a_pipeline_only_its_parts_count(tmp_path: Path) -> None:
    weights(tmp_path / "everything-in-one.safetensors")
    (tmp_path / "model_index.json").write_text("{}")
    unet = weights(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert sources.weight_files(tmp_path, None) == [unet]


@pytest.mark.parametrize("name", ["modeling_evil.py", "parts/pipeline.py"])
def test_a_folder_with_code_is_refused(tmp_path: Path, name: str) -> None:
    weights(tmp_path / "model.safetensors")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('this ran')")
    with pytest.raises(ModelRefused, match=f"{name} is code"):
        sources.locate(spec(tmp_path), CPU)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_a_config_that_asks_for_code_is_refused_however_deep_it_asks(tmp_path: Path, name: str) -> None:
    weights(tmp_path / "model.safetensors")
    (tmp_path / name).write_text(json.dumps({"text_config": [{"auto_map": {"AutoModel": "evil--repo.Model"}}]}))
    with pytest.raises(ModelRefused, match=f"{name} has auto_map"):
        sources.locate(spec(tmp_path), CPU)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt", "model.pt", "model.pth", "unet/weights.pkl"])
def test_pickles_alone_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/ran'\ntR.")
    with pytest.raises(ModelRefused, match=f"{name} is a pickle"):
        sources.locate(spec(tmp_path), CPU)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no safetensors"):
        sources.locate(spec(tmp_path), CPU)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="there is no folder"):
        sources.locate(spec(tmp_path / "nowhere"), CPU)


def test_a_header_that_claims_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2**30) + b"{}")
    with pytest.raises(ModelRefused, match="not a safetensors file"):
        sources.locate(spec(tmp_path), CPU)


def test_what_comes_from_a_hub_is_inspected_too(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    hub = ModelSpec("m", "llm", "transformers", "someone/something")
    with pytest.raises(ModelRefused, match="pickle"):
        sources.locate(hub, CPU, download=lambda asked: str(tmp_path))
