"""Continuous batching: requests join and leave between steps, and all read in one call of the model.

`seating` says who reads, `packing` lays it out, `paged_cache` remembers. `suitable` says which models can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from gpu_worker.engine.device import is_out_of_memory
from gpu_worker.runners.decoding.blocks import BLOCK, Blocks
from gpu_worker.runners.decoding.generation import Chunk, Generation, Ready
from gpu_worker.runners.decoding.packing import pack
from gpu_worker.runners.decoding.paged_cache import PagedCache
from gpu_worker.runners.decoding.seating import Seating

RECOVERY = 64  # good calls after which a batch that ran out of memory is allowed to be twice as large again


class Continuous:
    """The model's attention must be `paged_cache.NAME` already."""

    def __init__(self, model: Any, cache: PagedCache, blocks: int, rows: int, prompt_tokens: int) -> None:
        self._model = model
        self._cache = cache
        self._seating = Seating(Blocks(blocks))
        self._prompt_tokens = prompt_tokens  # read in one step, so that those who write need not wait long
        self._most = self._at_best = rows + prompt_tokens  # tokens in one call of the model
        self._good_calls = 0
        self.max_concurrent = rows
        self.capacity: int | None = blocks * BLOCK
        self.memory_mib = cache.memory_mib

    def read(self, batch: Sequence[Generation]) -> list[Sequence[Chunk]]:
        chunks = self._seating.plan(batch, min(self._prompt_tokens, self._most))
        if self._seating.fresh:
            self._cache.clear(self._seating.fresh)
            self._seating.fresh.clear()
        return list(_parts(chunks, self._most))

    @torch.inference_mode()
    def forward(self, part: Sequence[Chunk]) -> Ready | None:
        try:
            logits, chunks = self._call(part)
        except Exception as error:
            if is_out_of_memory(error):
                self._most, self._good_calls = max(1, sum(chunk.size for chunk in part) // 2), 0
            raise
        self._recover()
        for chunk in part:
            chunk.generation.cached = chunk.stop
        return Ready([chunk.generation for chunk in chunks], logits) if chunks else None

    def undo(self, generation: Generation) -> None:
        generation.cached -= 1

    def release(self, generation: Generation) -> None:
        self._seating.leave(generation)

    def _call(self, part: Sequence[Chunk]) -> tuple[torch.Tensor, list[Chunk]]:
        """Logits (n, vocabulary) and the n chunks that they follow."""
        step = pack(part, self._cache)
        output = self._model(
            input_ids=step.tokens,
            position_ids=step.positions,
            use_cache=False,
            logits_to_keep=step.lasts,
            step=step,
        )
        return output.logits[0], [chunk for chunk in step.chunks if chunk.completes]

    def _recover(self) -> None:
        self._good_calls += 1
        if self._good_calls >= RECOVERY and self._most < self._at_best:
            self._most, self._good_calls = min(self._at_best, self._most * 2), 0


def _parts(chunks: Iterable[Chunk], most: int) -> Iterable[list[Chunk]]:
    """As few as can be, of `most` tokens at most; no chunk is larger than that by itself."""
    part: list[Chunk] = []
    for chunk in chunks:
        if part and sum(each.size for each in part) + chunk.size > most:
            yield part
            part = []
        part.append(chunk)
    if part:
        yield part
