"""Chooses the next token of one request. Called by the language model runner; draws from its own generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


class Sampler:
    """Temperature 0 takes the most likely token; else temperature, top_k and top_p narrow, in transformers' order."""

    def __init__(self, parameters: Mapping[str, Any], seed: int) -> None:
        temperature = parameters.get("temperature")
        self._temperature = 1.0 if temperature is None else float(temperature)
        self._processors = _processors(parameters, self._temperature)
        # on the CPU whatever the device, so that the stream of numbers is the same everywhere
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def __call__(self, tokens: torch.Tensor, logits: torch.Tensor) -> int:
        """`tokens` (1, n): all so far, prompt included; `logits` (1, vocabulary)."""
        scores = self._processors(tokens, logits.float())
        if self._temperature == 0:
            return int(scores.argmax(-1))
        return int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=self._generator))


def _processors(parameters: Mapping[str, Any], temperature: float) -> Any:
    chosen = LogitsProcessorList()
    penalty, top_k, top_p = (parameters.get(name) for name in ("repetition_penalty", "top_k", "top_p"))
    if penalty is not None and penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(float(penalty)))
    if temperature not in (0, 1):
        chosen.append(TemperatureLogitsWarper(temperature))
    if temperature and top_k:
        chosen.append(TopKLogitsWarper(int(top_k)))
    if temperature and top_p is not None and top_p < 1:
        chosen.append(TopPLogitsWarper(float(top_p)))
    return chosen
