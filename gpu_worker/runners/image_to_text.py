"""Image to text: captions (BLIP and its kin) and answers about an image (chat models that see)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText, AutoProcessor, StoppingCriteriaList

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, ModelSpec, Usage
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.seeded_noise import SeededRows
from gpu_worker.runners.text_rows import Follower, Row, Saying
from gpu_worker.runners.text_stream import TextStream

MAX_PIXELS = 64_000_000  # unpacked three bytes each; a small file can claim any size
DEFAULT_NEW_TOKENS = 64
DEFAULT_PROMPT = "Describe this image."  # chat models only; captioners need none


class ImageToTextRunner(PretrainedRunner):
    max_concurrent = 8
    gathers = True

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.processor = self.load_companion(AutoProcessor)
        self.model = self.load(AutoModelForImageTextToText)
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.chats = bool(getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template)
        self.end_tokens = _end_tokens(self.model)
        return size_mib(self.model)

    def company(self, execution: Execution) -> Hashable:
        """Prompts of different lengths would have to be padded, and not every model reads around padding."""
        return execution.request.input.get("prompt") or ""

    def begin(self, execution: Execution) -> None:
        execution.state = Saying(seed_of(execution), TextStream(self._decode))
        self._open(execution)  # so that a broken file is told before the model has done anything

    @torch.inference_mode()
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        """One call of `generate` for those whose inputs have the same shapes; the others are for the next step."""
        prepared = [(execution, self._inputs(execution).to(self.device, dtype=self.dtype)) for execution in batch]
        shapes = _shapes(prepared[0][1])
        alike = [(execution, inputs) for execution, inputs in prepared if _shapes(inputs) == shapes]
        rows = [Row(execution, execution.state, _limit(execution)) for execution, _ in alike]
        prompt = shapes["input_ids"][1] if "input_ids" in shapes else 0
        for row in rows:
            row.saying.begin_again(self._decode, prompt)
        with SeededRows([row.saying.seed for row in rows]):  # for models whose generation_config samples
            self.model.generate(
                **{name: torch.cat([inputs[name] for _, inputs in alike]) for name in shapes},
                max_new_tokens=max(row.limit for row in rows),
                num_beams=1,
                stopping_criteria=StoppingCriteriaList([Follower(rows, control, self.end_tokens)]),
            )
        for row in rows:
            row.end(control)

    def cancelled(self, execution: Execution) -> Cancelled:
        saying: Saying = execution.state
        saying.stream.end()
        return Cancelled({"text": saying.stream.text.strip()}, Usage(output_tokens=saying.stream.count))

    def _inputs(self, execution: Execution) -> Any:
        image = self._open(execution)
        prompt = execution.request.input.get("prompt")
        if not self.chats:
            return self.processor(images=image, text=prompt or None, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": prompt or DEFAULT_PROMPT}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _open(self, execution: Execution) -> Image.Image:
        return open_image(execution.request.input["image"])

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _limit(execution: Execution) -> int:
    return int(execution.request.parameters.get("max_new_tokens") or DEFAULT_NEW_TOKENS)


def _shapes(inputs: Any) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in inputs.items() if isinstance(tensor, torch.Tensor)}


def _end_tokens(model: Any) -> frozenset[int]:
    """What ends a row; BLIP ends with what its configuration calls a separator, and tells nobody."""
    ends = model.generation_config.eos_token_id
    several = ends if isinstance(ends, list) else [ends]
    if model.config.model_type == "blip":
        several = [*several, model.config.text_config.sep_token_id]
    return frozenset(token for token in several if token is not None)


def open_image(path: str) -> Image.Image:
    """The image, upright, as RGB. Its size is checked before its pixels are unpacked. Raises InvalidInput."""
    try:
        image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            megapixels = image.width * image.height / 1e6
            raise InvalidInput(f"the image has {megapixels:.0f} megapixels; 64 are allowed", "input.image")
        return ImageOps.exif_transpose(image).convert("RGB")
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"the image is too big: {error}", "input.image") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to say that a file is broken
        raise InvalidInput(f"the image cannot be read: {error}", "input.image") from error
