"""Keys and values of all rows of a batch, in blocks, and the attention that reads them. Registered with transformers.

A model calls `attend` in place of its own attention; the step (`packing`) says which tokens belong to which row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from gpu_worker.engine.device import MIB
from gpu_worker.runners.decoding.blocks import BLOCK

if TYPE_CHECKING:
    from gpu_worker.runners.decoding.packing import Step

NAME = "baton_paged"  # of the attention, in transformers' table
UNKNOWN = ("sliding_window", "softcap", "s_aux", "position_bias")  # what other attentions do and this one does not


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Of one token in one layer's cache."""

    heads: int
    key_size: int
    value_size: int


class PagedCache:
    """Block 0 stays empty: rows are padded with it.

    A block is cleared before a row uses it: what lies in a masked place is multiplied by zero, and zero times
    the NaN that a broken text left there is NaN.
    """

    def __init__(self, shapes: Sequence[LayerShape], blocks: int, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self._layers = [
            tuple(
                torch.zeros(blocks + 1, BLOCK, shape.heads, size, dtype=dtype, device=device)
                for size in (shape.key_size, shape.value_size)
            )
            for shape in shapes
        ]

    @property
    def memory_mib(self) -> int:
        return math.ceil(sum(tensor.nbytes for layer in self._layers for tensor in layer) / MIB)

    def clear(self, blocks: Sequence[int]) -> None:
        numbers = torch.tensor(blocks, device=self.device)
        for tensor in (tensor for layer in self._layers for tensor in layer):
            tensor.index_fill_(0, numbers, 0)

    def write(self, layer: int, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """`places` (tokens,); keys and values (1, heads, tokens, size) as a model's attention has them."""
        for stored, new in zip(self._layers[layer], (keys, values), strict=True):
            stored.flatten(0, 1).index_copy_(0, places, new[0].transpose(0, 1).to(stored.dtype))

    def rows(self, layer: int, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (rows, heads, tokens, size) of the blocks in `table` (rows, blocks)."""
        keys, values = (
            stored.index_select(0, table.flatten()).view(len(table), -1, *stored.shape[2:]).transpose(1, 2)
            for stored in self._layers[layer]
        )
        return keys, values


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    step: Step | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """query (1, heads, tokens, size), all rows' tokens one after the other → (1, tokens, heads, value size)."""
    asked = [name for name in UNKNOWN if others.get(name) is not None]
    if step is None or attention_mask is not None or asked:
        raise NotImplementedError(f"this attention cannot be batched: {asked or 'it wants a mask of its own'}")
    step.cache.write(module.layer_idx, step.places, key, value)
    shared = query.shape[1] // key.shape[1]  # query heads to one head of the cache
    result = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
    for group in step.groups:
        keys, values = step.cache.rows(module.layer_idx, group.table)
        span = slice(group.first, group.first + group.rows * group.size)
        asking = query[0, :, span].reshape(key.shape[1], shared, group.rows, group.size, -1).permute(2, 0, 1, 3, 4)
        found = _look(asking, keys, values, group.visible, scaling)
        result[span] = found.permute(0, 3, 1, 2, 4).reshape(-1, query.shape[1], value.shape[3])
    return result[None], None


def _look(
    asking: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, visible: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """(rows, heads, shared, size, …): `shared` heads of the query look at the same head of the cache.

    Single tokens let theirs pass for so many tokens of one head. Longer chunks go head by head, because neither
    the mask nor the keys need be copied then; each call has enough to do.
    """
    if asking.shape[3] == 1:
        flat = asking.flatten(2, 3)
        return scaled_dot_product_attention(flat, keys, values, attn_mask=visible, scale=scaling)[..., None, :]
    each = [
        scaled_dot_product_attention(part, keys, values, attn_mask=visible, scale=scaling) for part in asking.unbind(2)
    ]
    return torch.stack(each, dim=2)


AttentionInterface.register(NAME, attend)
