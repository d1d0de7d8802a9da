"""The places of a key-value cache, handed out in blocks. Counts only; the tensors are in `paged_cache`."""

from __future__ import annotations

from collections import deque

BLOCK = 16  # tokens; a row wastes half of one on average, and is copied block by block
NOTHING = 0  # a block that no row owns and that is never written: what a shorter row is padded with


class Blocks:
    """Block numbers 1 to `count`. Raises IndexError for more than are free: ask first."""

    def __init__(self, count: int) -> None:
        self._free = deque(range(1, count + 1))

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self, count: int) -> list[int]:
        return [self._free.popleft() for _ in range(count)]

    def give_back(self, blocks: list[int]) -> None:
        self._free.extend(blocks)


def blocks_for(tokens: int) -> int:
    return -(-tokens // BLOCK)
