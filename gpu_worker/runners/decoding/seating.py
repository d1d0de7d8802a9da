"""Who reads how much in the next step, and who must give its room to whom. Called by the batched decoder; no tensors.

The older a request, the stronger: it takes its room from younger ones, which read their text again later.
So the oldest always goes on, and with it the whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpu_worker.runners.decoding.blocks import Blocks, blocks_for
from gpu_worker.runners.decoding.generation import Chunk, Generation


class Seating:
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._seated: dict[int, Generation] = {}  # by arrival: who has blocks
        self.fresh: list[int] = []  # blocks taken since somebody emptied this list

    def plan(self, batch: Iterable[Generation], budget: int) -> list[Chunk]:
        """Everybody's next token, and of longer texts (prompts) `budget` tokens together, in order of arrival.

        Who does not fit is left out of this step.
        """
        chunks = []
        waiting = False  # once one prompt waits for room, so do all that came later
        for generation in sorted(batch, key=lambda one: one.arrival):
            if generation.unread > 1 and (waiting or budget <= 0):
                continue
            size = min(generation.unread, max(budget, 1))
            if not self._seat(generation, generation.cached + size):
                waiting = True
                continue
            if generation.unread > 1:
                budget -= size
            chunks.append(Chunk(generation, generation.cached, generation.cached + size))
        return chunks

    def leave(self, generation: Generation) -> None:
        """Its room is free from now on, and it would have to be read again."""
        self._blocks.give_back(generation.blocks)
        generation.blocks, generation.cached = [], 0
        self._seated.pop(generation.arrival, None)

    def _seat(self, generation: Generation, tokens: int) -> bool:
        """Room for so many tokens of it, if need be taken from younger ones. False: it has to wait."""
        wanted = blocks_for(tokens) - len(generation.blocks)
        if not generation.blocks and not self._may_enter(generation):
            return False
        while self._blocks.free < wanted:
            youngest = self._seated[max(self._seated)] if self._seated else generation
            if youngest.arrival <= generation.arrival:
                return False
            self.leave(youngest)
        if wanted > 0:
            taken = self._blocks.take(wanted)
            generation.blocks += taken
            self.fresh += taken
            self._seated[generation.arrival] = generation
        return True

    def _may_enter(self, generation: Generation) -> bool:
        """Not if it would soon be sent away again: the others want to grow by a block each."""
        older = sum(arrival < generation.arrival for arrival in self._seated)
        younger = sum(len(one.blocks) for arrival, one in self._seated.items() if arrival > generation.arrival)
        return not older or self._blocks.free + younger >= blocks_for(len(generation.tokens)) + older
