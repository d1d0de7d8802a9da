"""Tiny language models of other kinds than `tiny_models`' Llama, over the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.integration.engine import tiny_models
from tests.integration.engine.tiny_models import CONTEXT_LENGTH

WINDOW = 16  # tokens
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_LENGTH,
}
COMMON = {"initializer_range": 0.3, "bos_token_id": None, "eos_token_id": None}


def sliding(vocabulary: int) -> Any:
    """Sees the last 16 tokens only."""
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(vocab_size=vocabulary, sliding_window=WINDOW, **SHAPE, **COMMON))


def recurrent(vocabulary: int) -> Any:
    """Keeps a state and no tokens."""
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(
        MambaConfig(vocab_size=vocabulary, hidden_size=32, state_size=8, num_hidden_layers=2, **COMMON)
    )


def stretching(vocabulary: int) -> Any:
    """Turns its positions by the longest text."""
    from transformers import LlamaConfig, LlamaForCausalLM

    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, rope_parameters=rope, **SHAPE, **COMMON))


def of_old(vocabulary: int) -> Any:
    """A GPT-2: learnt positions, every head its own keys."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT_LENGTH, **COMMON)
    )


def grouped(vocabulary: int) -> Any:
    """A Qwen3: keys and queries are normalised by head."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocabulary, head_dim=16, **SHAPE, **COMMON))


def of_experts(vocabulary: int) -> Any:
    """A Mixtral: two of four experts for each token."""
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(
        MixtralConfig(vocab_size=vocabulary, num_local_experts=4, sliding_window=None, **SHAPE, **COMMON)
    )


def tilted(vocabulary: int) -> Any:
    """A Bloom: no positions, attention of its own that falls off with the distance."""
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(BloomConfig(vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=4, **COMMON))


def counting(vocabulary: int) -> Any:
    """An OPT: learnt positions, counted from a mask unless they are given."""
    from transformers import OPTConfig, OPTForCausalLM

    shape = {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64, "num_hidden_layers": 2}
    common = {"init_std": 0.3, "bos_token_id": None, "eos_token_id": None}
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=vocabulary, num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH, **shape, **common
        )
    )


def save(folder: Path, make: Callable[[int], Any]) -> Path:
    tokenizer = tiny_models._byte_tokenizer()
    torch.manual_seed(0)
    return tiny_models._save(folder, make(len(tokenizer)), tokenizer)
