"""One text in the making, as far as the model is concerned. Made by `llm`, moved on by a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # who only plans needs no torch
    import torch

    from gpu_worker.runners.sampling import Sampling


@dataclass(eq=False, slots=True)
class Generation:
    """`tokens`: prompt and answer so far; the first `cached` of them are in the cache. The others are to be read."""

    tokens: list[int]
    sampling: Sampling
    arrival: int = 0  # who came first keeps its room
    cached: int = 0
    blocks: list[int] = field(default_factory=list)  # of the batched decoder
    cache: Any = None  # of the one that takes turns

    @property
    def unread(self) -> int:
        return len(self.tokens) - self.cached


@dataclass(frozen=True, slots=True)
class Chunk:
    """`tokens[start:stop]` of a generation, to be read in one step."""

    generation: Generation
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def completes(self) -> bool:
        """Everything is read then: the next token can be chosen."""
        return self.stop == len(self.generation.tokens)


@dataclass(frozen=True, slots=True)
class Ready:
    """Those of whom everything is read, and the logits (n, vocabulary) of their next tokens, row by row."""

    generations: Sequence[Generation]
    logits: torch.Tensor


class Decoder(Protocol):
    max_concurrent: int
    capacity: int | None  # tokens that one generation may have, prompt and answer; None: no limit of its own
    memory_mib: int  # taken beside the weights

    def read(self, batch: Sequence[Generation]) -> list[Sequence[Chunk]]:
        """Say who reads in this step, in parts; each is one call of `forward`."""

    def forward(self, part: Sequence[Chunk]) -> Ready | None:
        """Read one part. After an error nothing has changed that counts."""

    def undo(self, generation: Generation) -> None:
        """No token could be chosen after its last one, which is to be read again."""

    def release(self, generation: Generation) -> None:
        """Forget what is cached of it."""
