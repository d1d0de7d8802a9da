"""Language models that read and write together: what a request says must be what it says alone. No process here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_worker.engine.protocol import Completed, Failed, ModelSpec
from gpu_worker.runners import llm
from gpu_worker.runners.base import InvalidInput, ModelRefused
from gpu_worker.runners.decoding.continuous import Continuous
from gpu_worker.runners.decoding.turns import TurnTaking
from tests.integration.engine import tiny_decoders
from tests.integration.engine.batches import Batches, text
from tests.integration.engine.tiny_models import CONTEXT_LENGTH

pytestmark = pytest.mark.slow  # seconds of torch

Models = dict[str, ModelSpec]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def batches(models: Models) -> Batches:
    return Batches(models["base"])


def asked(random_: random.Random) -> tuple[str, dict[str, Any]]:
    """A request as somebody might send it: any length, any way to choose."""
    prompt = "".join(random_.choice("abcdefgh ") for _ in range(random_.randint(1, 70)))
    parameters: dict[str, Any] = {"max_new_tokens": random_.randint(1, 40), "seed": random_.randrange(1000)}
    for name, values in {
        "temperature": (0, 0.7, 1.0, 1.3),
        "top_k": (None, 0, 1, 20),
        "top_p": (None, 0.5, 0.95),
        "repetition_penalty": (None, 1.2),
        "stop": ([], ["e"], ["ab", "q"]),
    }.items():
        parameters[name] = random_.choice(values)
    return prompt, parameters


def test_a_hundred_requests_say_in_a_batch_of_sixteen_what_they_say_alone(batches: Batches) -> None:
    random_ = random.Random(5)
    requests = [asked(random_) for _ in range(100)]
    alone = [batches.finish([batches.begin(prompt, **parameters)])[0] for prompt, parameters in requests]
    waiting = [batches.begin(prompt, **parameters) for prompt, parameters in requests]
    everybody, running = list(waiting), []
    while waiting or running:  # sixteen at a time; whoever leaves makes room for the next
        while waiting and len(running) < 16:
            running.append(waiting.pop(0))
        running = batches.step(running)
    results = [execution.outcome.result for execution in everybody if isinstance(execution.outcome, Completed)]
    assert results == [outcome.result for outcome in alone if isinstance(outcome, Completed)]
    assert len(results) == 100


def test_all_rows_are_one_call_of_the_model(batches: Batches) -> None:
    calls: list[int] = []
    batches.runner.model.register_forward_pre_hook(lambda *_: calls.append(1))
    running = [batches.begin(f"request {number}", max_new_tokens=20, temperature=0) for number in range(8)]
    running = batches.step(running)
    calls.clear()
    assert len(batches.step(running)) == 8
    assert len(calls) == 1


def test_one_that_joins_later_and_one_that_leaves_change_nothing_for_the_others(batches: Batches) -> None:
    alone = [batches.say(prompt, max_new_tokens=30, seed=1) for prompt in ("first", "second one")]
    first = batches.begin("first", max_new_tokens=30, seed=1)
    short = batches.begin("x" * 90, max_new_tokens=4, seed=1)
    running = [first, short]
    for _ in range(7):
        running = batches.step(running)
    assert running == [first]
    second = batches.begin("second one", max_new_tokens=30, seed=1)
    batches.finish([first, second])
    assert [text(first.outcome), text(second.outcome)] == alone


def test_a_long_prompt_is_read_in_pieces_while_others_go_on_writing(models: Models) -> None:
    batches = Batches(replace(models["base"], options={"prompt_tokens_per_step": 16}))
    alone = batches.say("y" * 100, max_new_tokens=5, temperature=0)
    writing = batches.begin("a", max_new_tokens=40, temperature=0)
    batches.step([writing])
    reading = batches.begin("y" * 100, max_new_tokens=5, temperature=0)
    for step in range(1, 7):
        batches.step([writing, reading])
        assert writing.state.stream.count == 1 + step
        assert reading.state.stream.count == 0
    batches.finish([writing, reading])
    assert text(reading.outcome) == alone


@pytest.mark.parametrize("places", [8, 10, 24])
def test_too_little_room_for_all_costs_time_and_no_words(models: Models, places: int) -> None:
    random_ = random.Random(places)
    requests = [asked(random_) for _ in range(12)]
    roomy = Batches(models["base"])
    alone = [roomy.say(prompt, **parameters) for prompt, parameters in requests]
    narrow = with_room_for(models["base"], places)
    assert [text(o) for o in narrow.finish([narrow.begin(p, **parameters) for p, parameters in requests])] == alone
    assert narrow.runner.decoder._seating._blocks.free == places


def with_room_for(model: ModelSpec, blocks: int) -> Batches:
    """The smallest room that the catalogue can name is a MiB, hundreds of blocks of so small a model."""
    from gpu_worker.runners.decoding.blocks import Blocks
    from gpu_worker.runners.decoding.seating import Seating

    batches = Batches(model)
    decoder = batches.runner.decoder
    assert isinstance(decoder, Continuous)
    decoder._seating = Seating(Blocks(blocks))
    return batches


def test_who_is_cancelled_leaves_its_room_to_the_next_step(models: Models) -> None:
    batches = with_room_for(models["base"], 8)
    holding = batches.begin("z" * 100, max_new_tokens=20, temperature=0)
    waiting = batches.begin("b" * 60, max_new_tokens=2, temperature=0)
    for _ in range(3):
        batches.step([holding, waiting])
    assert waiting.state.stream.count == 0
    cancelled = batches.runner.cancelled(holding)
    assert cancelled.usage.output_tokens == 3
    batches.runner.end(holding)
    batches.step([waiting])
    assert waiting.state.stream.count == 1


def test_a_prompt_that_the_cache_can_never_hold_is_refused_with_both_numbers(models: Models) -> None:
    batches = with_room_for(models["base"], 2)
    batches.runner.decoder.capacity = 32
    with pytest.raises(InvalidInput, match=r"40 tokens; .*kv_cache_mib.* holds 32"):
        batches.begin("a" * 40)
    outcome = batches.finish([batches.begin("a" * 30, max_new_tokens=20, temperature=0)])[0]
    assert isinstance(outcome, Completed)
    assert outcome.usage.output_tokens == 2


def test_a_text_whose_numbers_break_takes_nobody_along(batches: Batches, models: Models) -> None:
    alone = batches.say("sound", max_new_tokens=20, seed=3)
    broken = batches.begin("~", max_new_tokens=20, seed=3)
    sound = batches.begin("sound", max_new_tokens=20, seed=3)
    (poison,) = set(broken.state.generation.tokens)

    def break_down(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.where((inputs[0] == poison)[..., None], float("nan"), output)

    hook = batches.runner.model.get_input_embeddings().register_forward_hook(break_down)
    batches.finish([broken, sound])
    hook.remove()
    assert isinstance(broken.outcome, Failed)
    assert "not a number" in broken.outcome.message
    assert text(sound.outcome) == alone
    assert batches.say("sound", max_new_tokens=20, seed=3) == alone  # on the room that the broken one had


@pytest.mark.parametrize("kind", [tiny_decoders.grouped, tiny_decoders.recurrent], ids=lambda kind: kind.__name__)
def test_a_choice_that_fails_is_made_again_with_the_same_number(
    tmp_path: Path, kind: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Batches(ModelSpec("m", "llm", "transformers", str(tiny_decoders.save(tmp_path / "model", kind))))
    alone = [batches.say("some words", max_new_tokens=12, seed=seed) for seed in (1, 2)]
    running = [batches.begin("some words", max_new_tokens=12, seed=seed) for seed in (1, 2)]
    for _ in range(3):
        batches.step(running)

    def fail(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(llm, "choose", fail)
        for _ in range(2):
            with pytest.raises(MemoryError):
                batches.step(running)
    batches.finish(running)
    assert [text(execution.outcome) for execution in running] == alone


def test_a_tokenizer_that_fails_for_one_fails_that_one(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = batches.say("sound", max_new_tokens=8, seed=3)
    broken, sound = (batches.begin("sound", max_new_tokens=8, seed=3) for _ in range(2))
    monkeypatch.setattr(broken.state, "stream", None)
    batches.finish([broken, sound])
    assert isinstance(broken.outcome, Failed)
    assert text(sound.outcome) == alone


def test_the_cache_counts_as_memory_of_the_model(models: Models) -> None:
    small = Batches(models["base"])
    large = Batches(replace(models["base"], options={"kv_cache_mib": 40, "max_concurrent": 4}))
    assert small.memory_mib <= small.foreseen_mib + 2
    assert large.foreseen_mib >= 40
    assert large.runner.max_concurrent == 4
    assert large.runner.decoder.capacity == 4 * CONTEXT_LENGTH  # more room than four texts need is not taken


def test_a_cache_too_small_for_anything_refuses_the_model(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_worker.runners.decoding import memory

    monkeypatch.setattr(memory, "token_bytes", lambda shapes, dtype: 2**20)
    with pytest.raises(ModelRefused, match="kv_cache_mib = 3 holds 0 tokens"):
        Batches(replace(models["base"], options={"kv_cache_mib": 3}))


KINDS: list[tuple[Callable[[int], Any], type]] = [
    (tiny_decoders.of_old, Continuous),
    (tiny_decoders.grouped, Continuous),
    (tiny_decoders.of_experts, Continuous),
    (tiny_decoders.sliding, TurnTaking),
    (tiny_decoders.recurrent, TurnTaking),
    (tiny_decoders.stretching, TurnTaking),
    (tiny_decoders.tilted, TurnTaking),
    (tiny_decoders.counting, Continuous),
]


@pytest.mark.parametrize(("kind", "decoder"), KINDS, ids=lambda value: value.__name__)
def test_each_kind_of_model_gets_the_decoder_that_fits_and_says_what_generate_says(
    tmp_path: Path, kind: Callable[[int], Any], decoder: type
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_decoders.save(tmp_path / "model", kind)
    batches = Batches(ModelSpec(kind.__name__, "llm", "transformers", str(folder)))
    assert type(batches.runner.decoder) is decoder
    prompts = ["hello there, long enough for a window", "a", "something else"]
    running = [batches.begin(prompt, max_new_tokens=30, temperature=0) for prompt in prompts]
    batches.finish(running)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    greedy = {"do_sample": False, "max_new_tokens": 30, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    for prompt, execution in zip(prompts, running, strict=True):
        tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
        made = model.generate(input_ids=tokens, **greedy)[0, tokens.shape[1] :]
        assert text(execution.outcome) == tokenizer.decode(made, skip_special_tokens=True).rstrip("\ufffd")
