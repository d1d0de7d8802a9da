"""Which loaded models can be batched: those whose whole memory of a text is keys and values of every token.

The cache that the model itself makes is looked at, and then a trial must give what the model's own attention gives.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from gpu_worker.engine.device import is_out_of_memory
from gpu_worker.runners.decoding.blocks import blocks_for
from gpu_worker.runners.decoding.continuous import Continuous
from gpu_worker.runners.decoding.generation import Generation
from gpu_worker.runners.decoding.paged_cache import NAME, LayerShape, PagedCache
from gpu_worker.runners.sampling import GREEDY

# these turn further the longer the longest text of a batch is, so a text would depend on its neighbours
MOVING_ROTATIONS = {"dynamic", "longrope"}
TRIAL = 40  # tokens; more than two blocks
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.1}  # of the logits' size


class Unsuitable(Exception):
    """Why this model cannot be batched."""


@torch.inference_mode()
def prepare(model: Any) -> tuple[list[LayerShape], torch.dtype]:
    """Give the model the attention that batches. Raises Unsuitable and leaves the model as it was."""
    before = model.config._attn_implementation
    try:
        shapes, dtype = _inspect(model)
        _try(model, shapes, dtype)
    except Exception as error:
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before)
        if isinstance(error, Unsuitable) or is_out_of_memory(error):
            raise
        raise Unsuitable(f"{type(error).__name__}: {error}") from error
    return shapes, dtype


def _inspect(model: Any) -> tuple[list[LayerShape], torch.dtype]:
    config = model.config.get_text_config()
    rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if rotation in MOVING_ROTATIONS:
        raise Unsuitable(f"its positions turn by the longest text of a batch ({rotation})")
    output = model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device), use_cache=True)
    cache = getattr(output, "past_key_values", None)
    if not isinstance(cache, DynamicCache):
        raise Unsuitable(f"its cache is {type(cache).__name__}")
    others = {type(layer).__name__ for layer in cache.layers if type(layer) is not DynamicLayer}
    if others or not cache.layers:
        raise Unsuitable(f"its cache has layers of another kind: {', '.join(sorted(others)) or 'none'}")
    shapes = [LayerShape(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3]) for layer in cache.layers]
    return shapes, cache.layers[0].keys.dtype


def _try(model: Any, shapes: list[LayerShape], dtype: torch.dtype) -> None:
    tokens = [7 * number % model.config.get_text_config().vocab_size for number in range(1, TRIAL + 1)]
    expected = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0, -1].float()
    model.set_attn_implementation(NAME)
    found = _trial(model, tokens, PagedCache(shapes, 3 * blocks_for(TRIAL), dtype, model.device)).float()
    if not torch.dist(found, expected) <= TOLERANCE.get(dtype, 0.0) * expected.norm():
        raise Unsuitable("a trial did not give what its own attention gives")


def _trial(model: Any, tokens: list[int], cache: PagedCache) -> torch.Tensor:
    """Logits after `tokens`, read in pieces beside another text, the last one alone like an answer's."""
    trial = Continuous(model, cache, blocks=3 * blocks_for(TRIAL), rows=2, prompt_tokens=TRIAL // 2)
    one, other = (Generation(list(tokens[:-1]), GREEDY, arrival=arrival) for arrival in range(2))
    other.tokens.reverse()
    while one.unread:
        _read(trial, [one, other])
    one.tokens.append(tokens[-1])
    return _read(trial, [one, other])


def _read(trial: Continuous, batch: list[Generation]) -> torch.Tensor:
    """The logits of the first in the batch, if it has read everything."""
    for part in trial.read(batch):
        ready = trial.forward(part)
        if ready is not None and batch[0] in ready.generations:
            return ready.logits[list(ready.generations).index(batch[0])]
    return torch.empty(0)
