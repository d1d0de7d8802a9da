"""A CLIP tokenizer in which every word of a closed list is one token.

Used by `diffusion`. The library's BPE trainer numbers tokens in the order of a hash map, differently in every run;
this one does not, so that a rebuild gives the same weights.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

WORD_END = "</w>"
Pair = tuple[str, str]


def tokenizer_of(words: Iterable[str], max_tokens: int) -> CLIPTokenizer:
    """Words of the list become one token each; any other word is spelled in letters and pieces of known words."""
    merges = _merges(sorted(set(words)))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [
        *letters,
        *(letter + WORD_END for letter in letters),
        *("".join(pair) for pair in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_tokens)


def _merges(words: list[str]) -> list[Pair]:
    """Byte-pair encoding: join the most frequent pair, alphabetically first among equals, until words are whole."""
    spellings = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[Pair] = []
    while pairs := Counter(pair for spelling in spellings for pair in pairwise(spelling)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spellings = [_joined(spelling, best) for spelling in spellings]
    return merges


def _joined(spelling: list[str], pair: Pair) -> list[str]:
    joined: list[str] = []
    for piece in spelling:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined
