"""Builds `baton-caption`: a BLIP model that names the colours and the shape in a drawing of one shape.

Called by the command line. Saves what `AutoModelForImageTextToText` and `AutoProcessor` load.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    BlipTextConfig,
    BlipVisionConfig,
)

from gpu_worker.demo_models.shapes import COLOURS, SHAPES, Drawing, draw
from gpu_worker.demo_models.training import SAFETENSORS_ONLY, fit, scaled, seed_everything

SEED = 0
STEPS = 2400
BATCH = 32
SIZE = 64  # pixels; the processor scales any image to this
WIDTH = 64
INITIAL_SPREAD = 0.06  # of weights, for this width; the vision tower's own default is almost zero and learns slowly
MEASURED = 50  # drawings that training has not seen
IGNORED = -100  # label that the loss skips
MAX_TOKENS = 24  # of a prompt and a caption together while measuring

PROMPTS = ("a picture of", "a photo of", "an image of", "this is")
PROMPT_SHARE = 0.3  # of the captions follow a prompt, so that one given by the user is continued sensibly
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")


def build(folder: Path, scale: float) -> dict[str, str]:
    """Train, save into `folder`, load it again as the product does, and measure."""
    seed_everything(SEED)
    rng = Random(SEED)
    processor = BlipProcessor(
        image_processor=BlipImageProcessor(size={"height": SIZE, "width": SIZE}), tokenizer=_tokenizer()
    )
    model = BlipForConditionalGeneration(_config(processor.tokenizer)).train()

    def loss_of_next_batch() -> Tensor:
        drawings = [_random_drawing(rng) for _ in range(BATCH)]
        images = [draw(drawing, SIZE, rng) for drawing in drawings]
        pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
        ids, labels = _texts(drawings, processor.tokenizer, rng)
        return _loss(model, pixels, ids, labels)

    loss = fit("caption", model.parameters(), loss_of_next_batch, steps=scaled(STEPS, scale), peak_rate=2e-3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return {"loss": f"{loss:.4f}", **_measure(folder)}


def _tokenizer() -> BertTokenizer:
    """Words of the drawings are one token each; any other word is spelled letter by letter."""
    words = [*COLOURS, *SHAPES, "a", "on", "background", *" ".join(PROMPTS).split()]
    tokens = [*SPECIAL_TOKENS, *LETTERS, *".,?!'-", *(f"##{letter}" for letter in LETTERS), *words]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, additional_special_tokens=["[DEC]", "[ENC]"])


def _config(tokenizer: BertTokenizer) -> BlipConfig:
    tower = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": INITIAL_SPREAD,
    }
    text = BlipTextConfig(
        **tower,
        vocab_size=len(tokenizer),
        encoder_hidden_size=WIDTH,
        max_position_embeddings=64,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.convert_tokens_to_ids("[DEC]"),
        sep_token_id=tokenizer.sep_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = BlipVisionConfig(**tower, image_size=SIZE, patch_size=8, projection_dim=WIDTH)
    return BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=WIDTH)


def _random_drawing(rng: Random) -> Drawing:
    colour, background = rng.sample(list(COLOURS), 2)
    return Drawing(rng.choice(SHAPES), colour, background)


def _texts(drawings: Sequence[Drawing], tokenizer: BertTokenizer, rng: Random) -> tuple[Tensor, Tensor]:
    """Token ids and labels, both (batch, longest); prompts and padding carry no label."""
    start, end, pad = tokenizer.convert_tokens_to_ids(["[DEC]", "[SEP]", "[PAD]"])
    rows, labels = [], []
    for drawing in drawings:
        prompt = rng.choice(PROMPTS) if rng.random() < PROMPT_SHARE else ""
        given = [start, *tokenizer.encode(prompt, add_special_tokens=False)]
        learnt = [*tokenizer.encode(drawing.caption, add_special_tokens=False), end]
        rows.append(given + learnt)
        labels.append([IGNORED] * len(given) + learnt)
    longest = max(map(len, rows))
    return (
        torch.tensor([row + [pad] * (longest - len(row)) for row in rows]),
        torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels]),
    )


def _loss(model: BlipForConditionalGeneration, pixels: Tensor, ids: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of the next token, without the label smoothing of the model's own loss."""
    seen = model.vision_model(pixel_values=pixels).last_hidden_state
    mask = (ids != model.config.text_config.pad_token_id).long()
    logits = model.text_decoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=seen, return_dict=True).logits
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def _measure(folder: Path) -> dict[str, str]:
    rng = Random(SEED + 1)
    drawings = [_random_drawing(rng) for _ in range(MEASURED)]
    captions = describe(folder, [draw(drawing, 96, rng) for drawing in drawings])
    exact = sum(drawing.caption == caption for drawing, caption in zip(drawings, captions, strict=True))
    return {"captions exact": f"{exact} of {MEASURED}"}


def describe(folder: Path, images: Sequence[Image.Image]) -> list[str]:
    """Greedy captions of a saved model."""
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForImageTextToText.from_pretrained(folder, **SAFETENSORS_ONLY).eval()
    inputs = processor(images=list(images), return_tensors="pt")
    with torch.inference_mode():
        rows = model.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
    return [text.strip() for text in processor.batch_decode(rows, skip_special_tokens=True)]
