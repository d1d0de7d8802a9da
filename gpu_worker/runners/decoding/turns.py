"""For models whose cache cannot be shared (sliding windows, recurrent states): each request reads alone, in turn."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from gpu_worker.runners.decoding.generation import Chunk, Generation, Ready


class TurnTaking:
    max_concurrent = 8  # it is no faster for more, only more even
    capacity: int | None = None
    memory_mib = 0

    def __init__(self, model: Any) -> None:
        self._model = model
        accepted = inspect.signature(model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._cache_is = "past_key_values" if "past_key_values" in accepted else "cache_params"  # so Mamba calls it

    def read(self, batch: Sequence[Generation]) -> list[Sequence[Chunk]]:
        return [[Chunk(one, one.cached, len(one.tokens))] for one in batch]

    def forward(self, part: Sequence[Chunk]) -> Ready:
        (chunk,) = part
        generation = chunk.generation
        unread = torch.tensor([generation.tokens[chunk.start : chunk.stop]], device=self._model.device)
        try:
            cache = {self._cache_is: generation.cache}
            output = self._model(input_ids=unread, use_cache=True, **cache, **self._options)
        except Exception:  # out of memory, perhaps: some layers took the token in and some did not
            self.release(generation)  # it is called again, and reads all again
            raise
        generation.cache, generation.cached = output[self._cache_is], chunk.stop
        return Ready([generation], output.logits[:, -1])

    def undo(self, generation: Generation) -> None:
        self.release(generation)  # a recurrent state has no way back

    def release(self, generation: Generation) -> None:
        generation.cache, generation.cached = None, 0
