"""Chooses the next tokens of a batch, each row by its own parameters and its own stream of random numbers.

A row's token depends on nothing but its own logits, text and stream, so neighbours never change what a seed says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

LIKELY = 1024  # tokens that are put in order at first to find top_p's; nearly always they are enough
PIECE = {"cpu": 2**16}  # logits worked on at once: beyond a processor's cache, 32 rows took three times as long


@dataclass(eq=False, slots=True)
class Sampling:
    """`temperature` 0 takes the most likely token; `top_k` 0, `top_p` 1 and `penalty` 1 change nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    penalty: float = 1.0
    stream: random.Random = field(default_factory=random.Random)
    _drawn: float | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any], seed: int) -> Sampling:
        """From the parameters of a request, where None and an absent one mean the neutral value."""

        def given(name: str, neutral: float) -> Any:
            value = parameters.get(name)
            return neutral if value is None else value

        return cls(
            float(given("temperature", 1.0)),
            int(given("top_k", 0)),
            float(given("top_p", 1.0)),
            float(given("repetition_penalty", 1.0)),
            random.Random(seed),
        )

    def draw(self) -> float:
        """The number, 0 to 1, that decides the next token; the same one until that token is `settled`."""
        if self._drawn is None:
            self._drawn = self.stream.random()
        return self._drawn

    def settled(self) -> None:
        self._drawn = None


GREEDY = Sampling(temperature=0.0)


def choose(logits: torch.Tensor, rows: Sequence[Sampling], texts: Sequence[Sequence[int]]) -> list[int | None]:
    """One token for each row of `logits` (n, vocabulary); `texts` are the tokens so far, prompts included.

    None where the logits are no numbers. Narrows in transformers' order: penalty, temperature, top_k, top_p.
    """
    scores = _penalized(logits.float(), rows, texts)
    sound = scores.amax(-1).isfinite().tolist()  # the largest is NaN if any is, and infinite if one overflowed
    tokens = scores.argmax(-1).tolist()
    drawing = [number for number, row in enumerate(rows) if row.temperature > 0 and sound[number]]
    at_once = max(1, PIECE.get(scores.device.type, scores.numel()) // scores.shape[1])
    for start in range(0, len(drawing), at_once):
        some = drawing[start : start + at_once]
        chosen = _drawn(_of(scores, some), [rows[number] for number in some])
        for number, token in zip(some, chosen, strict=True):
            tokens[number] = token
    return [token if is_sound else None for token, is_sound in zip(tokens, sound, strict=True)]


def _penalized(scores: torch.Tensor, rows: Sequence[Sampling], texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """What a text already says becomes less likely: positive logits divided, negative ones multiplied."""
    penalized = [number for number, row in enumerate(rows) if row.penalty != 1]
    if not penalized:
        return scores
    longest = max(len(texts[number]) for number in penalized)
    said = torch.tensor([[*texts[n], *[texts[n][0]] * (longest - len(texts[n]))] for n in penalized]).to(scores.device)
    penalty = _column(rows, penalized, lambda row: row.penalty, scores)
    some = _of(scores, penalized)
    seen = some.gather(1, said)
    some = some.scatter(1, said, torch.where(seen < 0, seen * penalty, seen / penalty))
    return some if len(penalized) == len(rows) else scores.index_copy(0, _index(penalized, scores), some)


def _drawn(scores: torch.Tensor, rows: Sequence[Sampling]) -> list[int]:
    """Tokens in proportion to their probabilities: the first whose share of the sum goes beyond the number drawn."""
    every = range(len(rows))
    scores = scores / _column(rows, every, lambda row: row.temperature, scores)
    scores = _top_p(_top_k(scores, rows), rows)
    # in the vocabulary's order, which rounding cannot change, and in 64 bits: 32 are too few for so long a sum
    sums = (scores - scores.amax(-1, keepdim=True)).exp().cumsum(-1, dtype=torch.float64)
    shares = torch.tensor([[row.draw()] for row in rows], dtype=torch.float64).to(scores.device)
    found = torch.searchsorted(sums, shares * sums[:, -1:], right=True)
    tokens: list[int] = found.clamp_(max=scores.shape[1] - 1).flatten().tolist()
    return tokens


def _top_k(scores: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor:
    """Only the k most likely, and those equal to the last of them."""
    narrowed = [number for number, row in enumerate(rows) if 0 < row.top_k < scores.shape[1]]
    if not narrowed:
        return scores
    best = _of(scores, narrowed).topk(max(rows[number].top_k for number in narrowed)).values
    least = best.gather(1, _column(rows, narrowed, lambda row: row.top_k - 1, scores).long())
    return _cut(scores, narrowed, least)


def _top_p(scores: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor:
    """Only the most likely that together have the probability p, and those equal to the last of them."""
    narrowed = [number for number, row in enumerate(rows) if row.top_p < 1]
    if not narrowed:
        return scores
    some = _of(scores, narrowed)
    wanted = _column(rows, narrowed, lambda row: row.top_p, scores)
    total = some.logsumexp(-1, keepdim=True)
    for size in (LIKELY, 8 * LIKELY, some.shape[1]):
        best = some.topk(min(size, some.shape[1])).values
        sums = (best - total).exp().cumsum(-1, dtype=torch.float64)
        if bool((sums[:, -1:] >= wanted).all()):
            break
    needed = (sums < wanted).sum(-1, keepdim=True).clamp_(max=best.shape[1] - 1)
    return _cut(scores, narrowed, best.gather(1, needed))


def _cut(scores: torch.Tensor, numbers: Sequence[int], least: torch.Tensor) -> torch.Tensor:
    """Rows `numbers` without what is below `least` (n, 1)."""
    some = _of(scores, numbers)
    some = some.masked_fill(some < least, float("-inf"))
    return some if len(numbers) == len(scores) else scores.index_copy(0, _index(numbers, scores), some)


def _of(scores: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    return scores if len(numbers) == len(scores) else scores.index_select(0, _index(numbers, scores))


def _index(numbers: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(numbers, device=like.device)


def _column(
    rows: Sequence[Sampling], numbers: Sequence[int], value: Callable[[Sampling], float], like: torch.Tensor
) -> torch.Tensor:
    return torch.tensor([[value(rows[number])] for number in numbers], dtype=torch.float32).to(like.device)
