"""Who reads in a step, and who must make room. Counts only."""

from __future__ import annotations

import random
from typing import Any

from gpu_worker.runners.decoding.blocks import BLOCK, Blocks, blocks_for
from gpu_worker.runners.decoding.generation import Chunk, Generation
from gpu_worker.runners.decoding.seating import Seating

NO_CHOICE: Any = None  # nothing is chosen here


def text(arrival: int, tokens: int) -> Generation:
    return Generation(list(range(tokens)), NO_CHOICE, arrival)


def read(chunks: list[Chunk]) -> list[tuple[int, int, int]]:
    """As the decoder does it; those who have read all write a token."""
    for chunk in chunks:
        chunk.generation.cached = chunk.stop
        if not chunk.generation.unread:
            chunk.generation.tokens.append(0)
    return [(chunk.generation.arrival, chunk.start, chunk.stop) for chunk in chunks]


def test_a_prompt_is_read_in_pieces_and_then_a_token_at_a_time() -> None:
    seating, one = Seating(Blocks(9)), text(1, 20)
    assert [read(seating.plan([one], 8)) for _ in range(4)] == [[(1, 0, 8)], [(1, 8, 16)], [(1, 16, 20)], [(1, 20, 21)]]


def test_who_writes_is_never_kept_waiting_by_prompts() -> None:
    seating, writing, reading = Seating(Blocks(9)), text(2, 1), text(1, 50)
    read(seating.plan([writing], 8))
    assert read(seating.plan([writing, reading], 8)) == [(1, 0, 8), (2, 1, 2)]


def test_the_pieces_of_several_prompts_share_one_budget_in_the_order_they_came() -> None:
    seating = Seating(Blocks(9))
    texts = [text(arrival, 5) for arrival in (3, 1, 2)]
    assert read(seating.plan(texts, 8)) == [(1, 0, 5), (2, 0, 3)]
    assert read(seating.plan(texts, 8)) == [(1, 5, 6), (2, 3, 5), (3, 0, 5)]


def test_who_finds_no_room_waits_and_nobody_overtakes_him() -> None:
    seating = Seating(Blocks(4))
    holding, large, small = text(1, 3 * BLOCK), text(2, 2 * BLOCK), text(3, 2)
    read(seating.plan([holding], 1000))
    assert read(seating.plan([holding, large, small], 1000)) == [(1, 3 * BLOCK, 3 * BLOCK + 1)]
    seating.leave(holding)
    assert [arrival for arrival, *_ in read(seating.plan([large, small], 1000))] == [2, 3]


def test_an_older_one_takes_its_room_from_the_youngest_who_reads_it_all_again_later() -> None:
    seating = Seating(Blocks(3))
    old, young = text(1, BLOCK - 1), text(2, BLOCK - 4)
    read(seating.plan([old, young], 1000))
    for _ in range(BLOCK + 1):
        read(seating.plan([old], 1000))
    assert len(old.blocks) == 2
    read(seating.plan([old, young], 1000))
    for _ in range(BLOCK):
        read(seating.plan([old], 1000))
    assert (len(old.blocks), young.blocks, young.cached) == (3, [], 0)
    seating.leave(old)
    assert read(seating.plan([young], 1000)) == [(2, 0, len(young.tokens) - 1)]


def test_a_step_that_failed_is_planned_again_with_the_same_room() -> None:
    blocks = Blocks(4)
    seating, one = Seating(blocks), text(1, BLOCK + 1)
    first = seating.plan([one], 1000)
    assert seating.plan([one], 1000) == first
    assert blocks.free == 2


def test_whatever_comes_and_goes_everybody_ends_and_no_block_is_lost_or_shared() -> None:
    random_ = random.Random(3)
    for count in (4, 7, 30):
        blocks = Blocks(count)
        seating = Seating(blocks)
        lengths = [random_.randint(1, count * BLOCK - 20) for _ in range(40)]
        waiting = [text(arrival, length) for arrival, length in enumerate(lengths)]
        wanted = {one.arrival: min(count * BLOCK, len(one.tokens) + random_.randint(1, 60)) for one in waiting}
        running: list[Generation] = []
        steps = 0
        while waiting or running:
            steps += 1
            assert steps < 20_000, "nobody goes on"
            while waiting and len(running) < 8:
                running.append(waiting.pop(0))
            batch = random_.sample(running, len(running)) if steps % 5 else running[:1]
            assert read(seating.plan(batch, 24)) or batch != running
            for one in [one for one in running if len(one.tokens) > wanted[one.arrival] or random_.random() < 0.005]:
                running.remove(one)
                seating.leave(one)
            held = [block for one in running for block in one.blocks]
            assert len(held) == len(set(held)) == count - blocks.free
            assert all(len(one.blocks) >= blocks_for(one.cached) for one in running)
        assert blocks.free == count
