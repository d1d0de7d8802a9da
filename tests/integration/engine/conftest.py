from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_worker.engine.protocol import ModelSpec
from tests.integration.engine.harness import Harness


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Harness]:
    """A fresh engine that imports no libraries: for everything that simulated models can show."""
    with Harness(tmp_path, {"ENGINE_PRELOAD": "0"}) as harness:
        yield harness


@pytest.fixture(scope="session")
def warm_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One engine for all real models of the session: importing torch takes seconds."""
    env = {"ENGINE_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with Harness(tmp_path_factory.mktemp("outputs"), env) as harness:
        yield harness


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    """One tiny model of each kind, built once."""
    return build_all(tmp_path_factory.mktemp("models"))


def build_all(root: Path) -> dict[str, ModelSpec]:
    import torch

    from tests.integration.engine import tiny_models

    torch.set_num_threads(1)
    folders = {
        "chat": ("llm", tiny_models.language_model(root / "chat")),
        "base": ("llm", tiny_models.language_model(root / "base", chat=False)),
        "image": ("stable_diffusion", tiny_models.image_model(root / "image")),
        "voice": ("tts", tiny_models.speech_model(root / "voice")),
        "caption": ("image_to_text", tiny_models.caption_model(root / "caption")),
        "seeing": ("image_to_text", tiny_models.seeing_chat_model(root / "seeing")),
    }
    return {name: ModelSpec(name, kind, "transformers", str(folder)) for name, (kind, folder) in folders.items()}


@pytest.fixture
def red_image(tmp_path: Path) -> str:
    from PIL import Image

    Image.new("RGB", (50, 40), "red").save(tmp_path / "red.png")
    return str(tmp_path / "red.png")
