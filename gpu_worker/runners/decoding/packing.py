"""Chunks of several rows, laid one after the other for one call of the model. Called by the batched decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from gpu_worker.runners.decoding.blocks import BLOCK, NOTHING, blocks_for
from gpu_worker.runners.decoding.generation import Chunk
from gpu_worker.runners.decoding.paged_cache import PagedCache

SHORT = 8  # blocks; rows up to here are never parted from each other


@dataclass(frozen=True, slots=True)
class Group:
    """`rows` rows that read `size` tokens each and are looked up together; the first stands at `first`."""

    first: int
    rows: int
    size: int
    table: torch.Tensor  # (rows, blocks)
    visible: torch.Tensor  # (rows, 1, size, tokens): 0 where a token may look, else minus infinity


@dataclass(frozen=True, slots=True)
class Step:
    """What one call of the model needs, on its device."""

    cache: PagedCache
    tokens: torch.Tensor  # (1, tokens)
    positions: torch.Tensor  # (1, tokens)
    places: torch.Tensor  # (tokens,) in the cache
    groups: tuple[Group, ...]
    lasts: torch.Tensor  # (n,): where those chunks end that complete a text
    chunks: tuple[Chunk, ...]  # in the order of the tokens


def pack(chunks: Iterable[Chunk], cache: PagedCache) -> Step:
    """Single tokens first, by length, so that none is padded to more than twice its own; then each longer chunk."""
    ordered = sorted(chunks, key=lambda chunk: (chunk.size, blocks_for(chunk.stop), chunk.generation.arrival))
    groups, first = [], 0
    for members in _alike(ordered):
        groups.append(_group(first, members, cache))
        first += sum(chunk.size for chunk in members)
    ends, lasts = 0, []
    for chunk in ordered:
        ends += chunk.size
        if chunk.completes:
            lasts.append(ends - 1)
    return Step(
        cache,
        _numbers([token for c in ordered for token in c.generation.tokens[c.start : c.stop]], cache)[None],
        _numbers([position for c in ordered for position in range(c.start, c.stop)], cache)[None],
        _numbers([place for c in ordered for place in _places(c)], cache),
        tuple(groups),
        _numbers(lasts, cache),
        tuple(ordered),
    )


def _alike(ordered: Sequence[Chunk]) -> list[list[Chunk]]:
    def key(chunk: Chunk) -> Any:
        if chunk.size > 1:
            return chunk.generation.arrival
        return -max(blocks_for(chunk.stop), SHORT).bit_length()  # negative: no arrival looks like this

    return [list(members) for _, members in groupby(ordered, key)]


def _group(first: int, members: list[Chunk], cache: PagedCache) -> Group:
    size, width = members[0].size, max(blocks_for(chunk.stop) for chunk in members)
    table = torch.full((len(members), width), NOTHING)
    for row, chunk in enumerate(members):
        blocks = chunk.generation.blocks[:width]
        table[row, : len(blocks)] = torch.tensor(blocks)
    starts = torch.tensor([chunk.start for chunk in members], device=cache.device)
    own = starts[:, None] + torch.arange(size, device=cache.device)  # (rows, size): where each token stands
    seen = torch.arange(width * BLOCK, device=cache.device) <= own[..., None]
    visible = torch.zeros(seen.shape, dtype=cache.dtype, device=cache.device).masked_fill_(~seen, float("-inf"))
    return Group(first, len(members), size, table.to(cache.device), visible[:, None])


def _numbers(numbers: list[int], cache: PagedCache) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.long, device=cache.device)


def _places(chunk: Chunk) -> Iterable[int]:
    blocks = chunk.generation.blocks
    return (blocks[at // BLOCK] * BLOCK + at % BLOCK for at in range(chunk.start, chunk.stop))
