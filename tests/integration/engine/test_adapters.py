"""LoRA adapters in a real engine: made here, with weights that change what a tiny model says or draws."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpu_worker.engine.protocol import Completed, ModelSpec, Outcome
from tests.integration.engine.harness import Harness, wait_until

pytestmark = [
    pytest.mark.slow,  # seconds of torch
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of peft, which asks transformers by an old name
]

Models = dict[str, ModelSpec]
SAY = {"max_new_tokens": 12, "temperature": 0}
DRAW = {"width": 64, "height": 64, "num_inference_steps": 2, "guidance_scale": 3.0, "seed": 1}


def language_adapter(folder: Path, base: str, seed: int) -> Path:
    """Strong enough to change a greedy text."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"])
    )
    _stir(model)
    model.save_pretrained(folder)
    return folder


def image_adapter(folder: Path, base: str, seed: int) -> Path:
    import torch
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(seed)
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    pipeline.unet.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_v"]))
    _stir(pipeline.unet)
    pipeline.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(pipeline.unet))
    return folder


def _stir(model: Any) -> None:
    """A fresh adapter changes nothing: its second half is zero."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0.0, 0.5)


@pytest.fixture(scope="module")
def adapters(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, while they are imported and while they save
        return {
            "pirate": language_adapter(root / "pirate", models["chat"].source, 1),
            "poet": language_adapter(root / "poet", models["chat"].source, 2),
            "ink": image_adapter(root / "ink", models["image"].source, 3),
        }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    env = {"ENGINE_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with Harness(tmp_path_factory.mktemp("outputs"), env) as harness:
        yield harness


def adapted(models: Models, base: str, name: str, folder: Path) -> ModelSpec:
    return replace(models[base], name=name, base=base, adapter=str(folder))


def said(outcome: Outcome) -> str:
    assert isinstance(outcome, Completed), outcome
    return str(outcome.result["text"])


def drawn(outcome: Outcome) -> bytes:
    assert isinstance(outcome, Completed), outcome
    return Path(outcome.files[0].path).read_bytes()


def test_an_adapter_changes_what_is_said_and_not_what_its_base_says(
    engine: Harness, models: Models, adapters: dict[str, Path]
) -> None:
    pirate, poet = (adapted(models, "chat", name, adapters[name]) for name in ("pirate", "poet"))
    bare = said(engine.run(models["chat"], **SAY))
    texts = [said(engine.run(model, **SAY)) for model in (pirate, poet, models["chat"], pirate, poet)]
    assert texts == [texts[0], texts[1], bare, texts[0], texts[1]]
    assert len({bare, *texts}) == 3


def test_it_says_what_the_adapter_merged_into_the_weights_says(
    engine: Harness, models: Models, adapters: dict[str, Path]
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models["chat"].source)
    model = AutoModelForCausalLM.from_pretrained(models["chat"].source)
    merged = PeftModel.from_pretrained(model, adapters["pirate"]).merge_and_unload().eval()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hello"}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        tokens = merged.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    expected = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False).rstrip("\ufffd")
    pirate = adapted(models, "chat", "pirate", adapters["pirate"])
    assert said(engine.run(pirate, {"prompt": "hello"}, **SAY)) == expected


def test_the_weights_are_shared_and_the_adapters_counted(
    engine: Harness, models: Models, adapters: dict[str, Path]
) -> None:
    pirate = adapted(models, "chat", "pirate", adapters["pirate"])
    said(engine.run(models["chat"], **SAY))
    said(engine.run(pirate, **SAY))

    def warm() -> dict[str, int]:
        return {model.name: model.memory_mib for model in engine.next_pulse().warm}

    wait_until(lambda: "pirate" in warm())
    assert warm()["pirate"] > 0
    assert len([lane for lane in engine.next_pulse().lanes if lane.model.startswith("chat#")]) == 1
    again = engine.submit(pirate, **SAY)
    engine.outcome(again)
    assert [phase.phase for phase in engine.phases(again)] == ["inference"]


def test_requests_of_several_adapters_at_once_each_get_their_own(
    engine: Harness, models: Models, adapters: dict[str, Path]
) -> None:
    kinds = [models["chat"], *(adapted(models, "chat", name, adapters[name]) for name in ("pirate", "poet"))]
    alone = [said(engine.run(model, **SAY)) for model in kinds]
    ids = [(number, engine.submit(kinds[number], **SAY)) for number in (0, 1, 2, 1, 0, 2, 2, 1, 0)]
    assert [said(engine.outcome(request_id)) for _, request_id in ids] == [alone[number] for number, _ in ids]


def test_an_adapter_changes_what_is_drawn(engine: Harness, models: Models, adapters: dict[str, Path]) -> None:
    ink = adapted(models, "image", "ink", adapters["ink"])
    bare = drawn(engine.run(models["image"], **DRAW))
    inked = drawn(engine.run(ink, **DRAW))
    assert inked != bare
    assert drawn(engine.run(models["image"], **DRAW)) == bare
    assert drawn(engine.run(ink, **DRAW)) == inked


def test_no_more_adapters_stay_than_the_catalogue_allows(
    engine: Harness, models: Models, adapters: dict[str, Path]
) -> None:
    narrow = {"chat": replace(models["chat"], name="narrow", options={"max_adapters": 1})}
    kinds = [replace(narrow["chat"], name=name, base="narrow", adapter=str(adapters[name])) for name in adapters][:2]
    first = [said(engine.run(model, **SAY)) for model in kinds]
    assert [said(engine.run(model, **SAY)) for model in kinds] == first
    wait_until(lambda: {model.name for model in engine.next_pulse().warm} >= {"narrow", "poet"})


def spoilt(kind: str, adapter: Path, folder: Path) -> Path:
    shutil.copytree(adapter, folder)
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    match kind:
        case "pickle":
            weights.rename(folder / "adapter_model.bin")
        case "code":
            (folder / "run.py").write_text("raise SystemExit")
        case "no weights":
            weights.rename(folder / "other.safetensors")
        case "other kind":
            config.write_text(json.dumps(json.loads(config.read_text()) | {"peft_type": "IA3"}))
        case "other layers":
            config.write_text(json.dumps(json.loads(config.read_text()) | {"target_modules": ["q_proj", "up_proj"]}))
        case "other rank":
            config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 8}))
        case "gone":
            shutil.rmtree(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("pickle", "is a pickle"),
        ("code", "is code"),
        ("no weights", "needs adapter_config.json"),
        ("other kind", "of type IA3"),
        ("other layers", "is of another model"),
        ("other rank", "mismatch"),
        ("gone", "there is no folder"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_told_and_leaves_the_base_as_it_was(
    engine: Harness, models: Models, adapters: dict[str, Path], tmp_path: Path, kind: str, reason: str
) -> None:
    bare = said(engine.run(models["chat"], **SAY))
    bad = adapted(models, "chat", f"bad {kind}", spoilt(kind, adapters["pirate"], tmp_path / "bad"))
    failed = engine.failed(bad, **SAY)
    assert failed.code == "model_load_failed"
    assert re.search(reason, failed.message), failed.message
    assert said(engine.run(models["chat"], **SAY)) == bare
    pirate = adapted(models, "chat", "pirate", adapters["pirate"])
    assert said(engine.run(pirate, **SAY)) != bare


def test_speech_takes_no_adapter(engine: Harness, models: Models, adapters: dict[str, Path]) -> None:
    failed = engine.failed(adapted(models, "voice", "other", adapters["pirate"]))
    assert failed.code == "model_load_failed"
    assert "take no adapter" in failed.message
