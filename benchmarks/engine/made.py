"""The model and the requests: random weights in the shape of Qwen2, texts of mixed lengths. Nothing is downloaded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# hidden size, layers, heads, heads of the cache, inner size, vocabulary
SIZES = {
    "17M": (384, 8, 6, 2, 1024, 8192),
    "42M": (512, 12, 8, 2, 1408, 16384),
    "109M": (768, 12, 12, 3, 2048, 32000),
}
LONGEST_PROMPT, LONGEST_ANSWER, CONTEXT_LENGTH = 128, 96, 2048


@dataclass(frozen=True, slots=True)
class Request:
    prompt: str  # a token a letter
    new_tokens: int


def requests(count: int, seed: int = 1) -> list[Request]:
    random_ = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz ,."
    return [
        Request(
            "".join(random_.choice(letters) for _ in range(random_.randint(8, LONGEST_PROMPT))),
            random_.randint(8, LONGEST_ANSWER),
        )
        for _ in range(count)
    ]


def make(folder: Path, size: str) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    hidden, layers, heads, kept, inner, vocabulary = SIZES[size]
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kept,
        intermediate_size=inner,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(8)  # else all tokens are about as likely, and the largest is chance
    model.save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate([*alphabet, *(f"w{n}" for n in range(vocabulary - 256))])}
    core = Tokenizer(models.BPE(vocab=words, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=core).save_pretrained(folder)


def load(folder: Path, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model and its tokenizer, as the peers use them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
    return model, AutoTokenizer.from_pretrained(folder)
