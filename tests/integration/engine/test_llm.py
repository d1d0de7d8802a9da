"""Language models in a real engine: a tiny Llama that talks in random bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec
from tests.integration.engine.harness import Harness
from tests.integration.engine.tiny_models import CONTEXT_LENGTH

HELLO = {"prompt": "hello"}
Models = dict[str, ModelSpec]


def test_the_streamed_pieces_make_up_the_text(warm_engine: Harness, models: Models) -> None:
    request_id = warm_engine.submit(models["chat"], HELLO, max_new_tokens=40, seed=1)
    outcome = warm_engine.outcome(request_id)
    assert isinstance(outcome, Completed)
    assert outcome.result["text"] == warm_engine.text(request_id) != ""
    assert outcome.result["finish_reason"] == "length"
    assert outcome.usage.output_tokens == 40
    assert warm_engine.progressed(request_id)[-1].fraction == 1.0


def test_the_same_seed_says_the_same_and_another_something_else(warm_engine: Harness, models: Models) -> None:
    def say(seed: int) -> object:
        return warm_engine.completed(models["chat"], HELLO, max_new_tokens=20, seed=seed).result

    assert say(1) == say(1) != say(2)


def test_neighbours_do_not_change_what_a_seed_says(warm_engine: Harness, models: Models) -> None:
    alone = warm_engine.completed(models["chat"], HELLO, max_new_tokens=30, seed=5).result
    ids = [warm_engine.submit(models["chat"], HELLO, max_new_tokens=30, seed=seed) for seed in (5, 6, 5, 7)]
    outcomes = [warm_engine.outcome(request_id) for request_id in ids]
    assert all(isinstance(outcome, Completed) for outcome in outcomes)
    together = [outcome.result for outcome in outcomes if isinstance(outcome, Completed)]
    assert together[0] == together[2] == alone
    assert together[1] != alone


def test_temperature_zero_needs_no_seed(warm_engine: Harness, models: Models) -> None:
    def say() -> object:
        return warm_engine.completed(models["chat"], HELLO, max_new_tokens=20, temperature=0).result

    assert say() == say()


def test_top_k_of_one_is_greedy(warm_engine: Harness, models: Models) -> None:
    greedy = warm_engine.completed(models["chat"], HELLO, max_new_tokens=20, temperature=0).result
    assert warm_engine.completed(models["chat"], HELLO, max_new_tokens=20, top_k=1, seed=9).result == greedy
    assert warm_engine.completed(models["chat"], HELLO, max_new_tokens=20, top_p=0.0001, seed=9).result == greedy


def test_a_repetition_penalty_changes_the_text(warm_engine: Harness, models: Models) -> None:
    def say(penalty: float) -> object:
        return warm_engine.completed(
            models["chat"], HELLO, max_new_tokens=30, temperature=0, repetition_penalty=penalty
        ).result

    assert say(1.0) != say(2.0)


def test_its_greedy_text_is_what_transformers_own_loop_says(warm_engine: Harness, models: Models) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = models["base"].source
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    inputs = tokenizer(HELLO["prompt"], return_tensors="pt")
    generated = model.generate(**inputs, do_sample=False, max_new_tokens=30)[0, inputs["input_ids"].shape[1] :]
    expected = tokenizer.decode(generated, skip_special_tokens=True)
    said = warm_engine.completed(models["base"], HELLO, max_new_tokens=30, temperature=0).result["text"]
    assert said == expected.rstrip("\ufffd") or said == expected


def test_a_stop_string_ends_the_text_before_itself(warm_engine: Harness, models: Models) -> None:
    whole = warm_engine.completed(models["chat"], HELLO, max_new_tokens=40, seed=1).result["text"]
    stop = whole[10:13]
    request_id = warm_engine.submit(models["chat"], HELLO, max_new_tokens=40, seed=1, stop=[stop])
    outcome = warm_engine.outcome(request_id)
    assert isinstance(outcome, Completed)
    expected = whole[: whole.index(stop)]
    assert outcome.result == {"text": expected, "finish_reason": "stop"}
    assert warm_engine.text(request_id) == expected


def test_a_bare_prompt_is_one_message_of_the_user(warm_engine: Harness, models: Models) -> None:
    messages = {"messages": [{"role": "user", "content": "hello"}]}
    parts = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}]
    }
    said = [
        warm_engine.completed(models["chat"], given, max_new_tokens=9, seed=1) for given in (HELLO, messages, parts)
    ]
    assert said[0].result == said[1].result == said[2].result
    assert said[0].usage == said[1].usage
    assert said[0].usage.input_tokens == len("hello") + 3  # <|user|> <|end|> <|assistant|>


def test_a_model_without_a_chat_template_takes_the_prompt_as_it_is(warm_engine: Harness, models: Models) -> None:
    assert warm_engine.completed(models["base"], HELLO, max_new_tokens=2).usage.input_tokens == len("hello")
    failed = warm_engine.failed(models["base"], {"messages": [{"role": "user", "content": "x"}]})
    assert (failed.code, failed.param) == ("invalid_input", "input.messages")


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(warm_engine: Harness, models: Models) -> None:
    failed = warm_engine.failed(models["base"], {"prompt": "x" * 300})
    assert failed.code == "invalid_input"
    assert "300 tokens" in failed.message
    assert str(CONTEXT_LENGTH) in failed.message


def test_an_answer_ends_where_the_context_does(warm_engine: Harness, models: Models) -> None:
    outcome = warm_engine.completed(models["base"], {"prompt": "x" * 100}, max_new_tokens=500, seed=1)
    assert outcome.usage.output_tokens == CONTEXT_LENGTH - 100
    assert outcome.result["finish_reason"] == "length"


def test_an_empty_prompt_is_refused(warm_engine: Harness, models: Models) -> None:
    assert warm_engine.failed(models["base"], {"prompt": ""}).param == "input.prompt"


def test_a_cancel_stops_it_at_the_next_token_and_keeps_the_text(warm_engine: Harness, models: Models) -> None:
    long_winded = replace(models["base"], options={"context_length": 128})
    ids = [warm_engine.submit(long_winded, {"prompt": "a"}, max_new_tokens=120, seed=n) for n in range(8)]
    warm_engine.progressed(ids[0])
    for request_id in ids:
        warm_engine.process.cancel(request_id)
    outcomes = {request_id: warm_engine.outcome(request_id) for request_id in ids}
    stopped = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Cancelled)}
    assert stopped
    for request_id, outcome in stopped.items():
        if outcome.result is not None:
            assert outcome.result["finish_reason"] == "cancelled"
            assert outcome.result["text"].startswith(warm_engine.text(request_id))


@pytest.mark.parametrize("poison", ["\x00", "🦊" * 20, "\ud83e", "<|end|><|assistant|>"])
def test_odd_text_breaks_nothing(warm_engine: Harness, models: Models, poison: str) -> None:
    warm_engine.run(models["chat"], {"prompt": poison}, max_new_tokens=3)
    warm_engine.completed(models["chat"], HELLO, max_new_tokens=3)
