"""Builds `baton-chat`: a Llama-shaped chat model with a byte-level BPE, small enough to train on one core.

Called by the command line. Saves what `AutoModelForCausalLM` and `AutoTokenizer` load.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from gpu_worker.demo_models.chat_corpus import FACTS, SUMS, Fact, Turn, dialogue, vocabulary_texts
from gpu_worker.demo_models.training import SAFETENSORS_ONLY, fit, scaled, seed_everything

SEED = 0
STEPS = 2000
DIALOGUES = 12_000
BATCH_TOKENS = 1024  # padding included; dialogues of like length share a batch
VOCABULARY = 704  # 256 bytes, 4 special tokens, the rest merges
CONTEXT = 512  # tokens; the longest dialogue of the corpus has under 400
IGNORED = -100  # label that the loss skips
ANSWER_TOKENS = 220  # the story and the count to fifty fit

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Sample:
    """One dialogue as token ids; `labels` are the ids of what the assistant says and IGNORED elsewhere."""

    ids: list[int]
    labels: list[int]


def build(folder: Path, scale: float) -> dict[str, str]:
    """Train, save into `folder`, load it again as the product does, and measure."""
    seed_everything(SEED)
    rng = Random(SEED)
    tokenizer = _train_tokenizer()
    model = LlamaForCausalLM(_config(tokenizer))
    count = scaled(DIALOGUES, scale, at_least=64)
    batches = _batches([_encode(dialogue(rng), tokenizer) for _ in range(count)])
    model.train()

    def loss_of_next_batch() -> Tensor:
        ids, labels, mask = _padded(rng.choice(batches), tokenizer.pad_token_id)
        loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss

    loss = fit("chat", model.parameters(), loss_of_next_batch, steps=scaled(STEPS, scale), peak_rate=4e-3)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=ANSWER_TOKENS,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"loss": f"{loss:.4f}", **_measure(folder)}


def _train_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(vocabulary_texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )


def _encode(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast) -> Sample:
    """The ids of the chat template, with labels where the assistant speaks, end mark included."""
    ids: list[int] = []
    labels: list[int] = []
    for turn in turns:
        head = tokenizer.encode(f"<|im_start|>{turn.role}\n", add_special_tokens=False)
        body = tokenizer.encode(f"{turn.content}<|im_end|>", add_special_tokens=False)
        tail = tokenizer.encode("\n", add_special_tokens=False)
        learnt = body if turn.role == "assistant" else [IGNORED] * len(body)
        ids += head + body + tail
        labels += [IGNORED] * len(head) + learnt + [IGNORED] * len(tail)
    return Sample(ids[:CONTEXT], labels[:CONTEXT])


def _batches(samples: list[Sample]) -> list[list[Sample]]:
    """Batches of at most BATCH_TOKENS with padding; sorted by length, so that little is padded."""
    batches: list[list[Sample]] = [[]]
    for sample in sorted(samples, key=lambda sample: len(sample.ids)):
        if batches[-1] and (len(batches[-1]) + 1) * len(sample.ids) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(sample)
    return batches


def _padded(batch: Sequence[Sample], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, labels and attention mask, each (batch, longest), padded on the right."""
    longest = max(len(sample.ids) for sample in batch)
    short = [longest - len(sample.ids) for sample in batch]
    ids = torch.tensor([sample.ids + [pad] * gap for sample, gap in zip(batch, short, strict=True)])
    labels = torch.tensor([sample.labels + [IGNORED] * gap for sample, gap in zip(batch, short, strict=True)])
    mask = torch.tensor([[1] * (longest - gap) + [0] * gap for gap in short])
    return ids, labels, mask


def _measure(folder: Path) -> dict[str, str]:
    answers = [answer(folder, [fact.questions[0] for fact in known]) for known in (FACTS, SUMS)]
    return {
        "facts answered exactly": _exact(FACTS, answers[0]),
        "sums answered exactly": _exact(SUMS, answers[1]),
    }


def _exact(facts: Sequence[Fact], answers: Sequence[str]) -> str:
    right = sum(fact.answer == given for fact, given in zip(facts, answers, strict=True))
    return f"{right} of {len(facts)}"


def answer(folder: Path, questions: Sequence[str]) -> list[str]:
    """Greedy answers of a saved model, each question in a dialogue of its own."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, **SAFETENSORS_ONLY).eval()
    dialogues = [[asdict(Turn("user", question))] for question in questions]
    inputs = tokenizer.apply_chat_template(
        dialogues, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        rows = model.generate(**inputs, do_sample=False)
    start = inputs["input_ids"].shape[1]
    return [tokenizer.decode(row[start:], skip_special_tokens=True) for row in rows]
