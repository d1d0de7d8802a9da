"""Which decoder a loaded model gets: the one that batches if the model allows it. Called by `llm`, once a load."""

from __future__ import annotations

import logging
from typing import Any

from gpu_worker.engine.device import MIB, Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners.base import ModelRefused
from gpu_worker.runners.decoding import memory, suitable
from gpu_worker.runners.decoding.blocks import BLOCK, blocks_for
from gpu_worker.runners.decoding.continuous import Continuous
from gpu_worker.runners.decoding.generation import Decoder
from gpu_worker.runners.decoding.paged_cache import PagedCache
from gpu_worker.runners.decoding.turns import TurnTaking

log = logging.getLogger(__name__)

PROMPT_TOKENS = {"cuda": 1024, "cpu": 128}  # in one step; on a CPU 32 tokens keep it busy, on a GPU hundreds do


def decoder_for(model: Any, spec: ModelSpec, device: Device, context_length: int) -> Decoder:
    """Raises ModelRefused if the catalogue gives the cache less room than a few tokens need."""
    try:
        shapes, dtype = suitable.prepare(model)
    except suitable.Unsuitable as reason:
        log.info("model %s answers its requests in turns: %s", spec.name, reason)
        return TurnTaking(model)
    size = memory.token_bytes(shapes, dtype)
    mib = memory.granted_mib(spec, device, context_length, size)
    rows = memory.rows(spec)
    blocks = min(mib * MIB // (size * BLOCK), rows * blocks_for(context_length))
    if blocks < 2:
        raise ModelRefused(f"kv_cache_mib = {mib} holds {blocks * BLOCK} tokens of this model")
    prompt_tokens = max(1, int(spec.options.get("prompt_tokens_per_step", PROMPT_TOKENS[device.type])))
    return Continuous(model, PagedCache(shapes, blocks, dtype, model.device), blocks, rows, prompt_tokens)
