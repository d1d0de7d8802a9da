"""The default catalogue's own models, through the same engine and runners as any model of a hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_worker.engine.process import ROOT
from gpu_worker.engine.protocol import ModelSpec
from tests.integration.engine.harness import Harness


def shipped(name: str, task_type: str) -> ModelSpec:
    return ModelSpec(name, task_type, "transformers", str(ROOT / "models" / name))


CHAT = shipped("baton-chat", "llm")
DIFFUSION = shipped("baton-diffusion", "stable_diffusion")
VOICE = shipped("baton-voice", "tts")
CAPTION = shipped("baton-caption", "image_to_text")


def test_the_chat_model_answers(warm_engine: Harness) -> None:
    answer = warm_engine.completed(CHAT, {"prompt": "What is Baton?"}, temperature=0, max_new_tokens=100).result
    assert "orchestrator" in answer["text"]
    assert answer["finish_reason"] == "stop"


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_what_one_draws_another_describes(warm_engine: Harness, colour: str) -> None:
    prompt = {"prompt": f"a {colour} circle on a white background"}
    size = {"width": 64, "height": 64, "num_inference_steps": 20, "guidance_scale": 3.0}
    drawn = warm_engine.completed(DIFFUSION, prompt, seed=1, **size)
    caption = warm_engine.completed(CAPTION, {"image": drawn.files[0].path}).result["text"]
    assert colour in caption


def test_the_voice_speaks(warm_engine: Harness) -> None:
    spoken = warm_engine.completed(VOICE, {"text": "Hello there."}, seed=1)
    assert spoken.result["audio"]["duration_seconds"] > 0.3
    assert Path(spoken.files[0].path).stat().st_size > 1000
