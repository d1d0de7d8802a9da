"""Choosing tokens: each row by its own parameters and numbers, whoever stands beside it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import torch

from gpu_worker.runners import sampling
from gpu_worker.runners.sampling import Sampling, choose

VOCABULARY = 300


def logits(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def any_parameters(random_: random.Random) -> dict[str, Any]:
    return {
        "temperature": random_.choice([0, 0.5, 1.0, 1.7, None]),
        "top_k": random_.choice([None, 0, 1, 7, 1000]),
        "top_p": random_.choice([None, 0.01, 0.6, 0.99, 1]),
        "repetition_penalty": random_.choice([None, 0.8, 1.5]),
    }


def test_a_row_gets_the_same_tokens_alone_and_among_others() -> None:
    random_ = random.Random(1)
    asked = [(any_parameters(random_), random_.randrange(99)) for _ in range(24)]
    texts = [[random_.randrange(VOCABULARY) for _ in range(random_.randint(1, 30))] for _ in asked]
    together = [Sampling.of(*one) for one in asked]
    alone = [Sampling.of(*one) for one in asked]
    for step in range(20):
        scores = logits(len(asked), step)
        expected = [choose(scores[n : n + 1], [alone[n]], [texts[n]])[0] for n in range(len(asked))]
        assert choose(scores, together, texts) == expected
        for row in (*alone, *together):
            row.settled()


@pytest.mark.parametrize("seed", range(12))
def test_what_can_be_chosen_is_what_transformers_leaves_over(seed: int) -> None:
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    random_ = random.Random(seed)
    text = [random_.randrange(VOCABULARY) for _ in range(40)]
    theirs = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.3),
            TemperatureLogitsWarper(0.8),
            TopKLogitsWarper(12),
            TopPLogitsWarper(0.8),
        ]
    )
    left = theirs(torch.tensor([text]), logits(1, seed))[0].softmax(-1)
    count = 3000
    rows = [Sampling(0.8, 12, 0.8, 1.3, random.Random(n)) for n in range(count)]
    chosen = Counter(choose(logits(1, seed).expand(count, -1), rows, [text] * count))
    assert set(chosen) == set(left.nonzero().flatten().tolist())
    for token, times in chosen.items():
        assert token is not None
        assert times / count == pytest.approx(float(left[token]), abs=0.05)


def test_top_p_finds_its_tokens_however_many_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Sampling(top_p=0.999, stream=random.Random(n)) for n in range(50)]
    expected = choose(logits(50) / 50, rows, [[0]] * 50)
    monkeypatch.setattr(sampling, "LIKELY", 4)
    assert choose(logits(50) / 50, rows, [[0]] * 50) == expected


def test_the_same_number_decides_until_the_token_is_settled() -> None:
    row = Sampling.of({}, seed=4)
    tokens = [choose(logits(1), [row], [[0]])[0] for _ in range(5)]
    assert len(set(tokens)) == 1
    numbers = set()
    for _ in range(5):
        numbers.add(row.draw())
        row.settled()
    assert len(numbers) == 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_without_sense_gets_no_token_and_spoils_no_other(bad: float) -> None:
    scores = logits(3)
    rows = [Sampling.of({}, seed) for seed in range(3)]
    expected = choose(scores, rows, [[0]] * 3)
    scores[1, 5] = bad
    assert choose(scores, rows, [[0]] * 3) == [expected[0], None, expected[2]]


def test_a_model_may_rule_tokens_out() -> None:
    scores = torch.full((2, 5), float("-inf"))
    scores[:, 3] = 1.0
    assert choose(scores, [Sampling.of({}, 1), sampling.GREEDY], [[0], [0]]) == [3, 3]
