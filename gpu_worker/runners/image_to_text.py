"""Image to text: captions (BLIP and its kin) and answers about an image (chat models that see)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText, AutoProcessor, StoppingCriteria, StoppingCriteriaList

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec, Usage
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.seeded_noise import SeededNoise
from gpu_worker.runners.text_stream import TextStream

MAX_PIXELS = 64_000_000  # unpacked three bytes each; a small file can claim any size
DEFAULT_NEW_TOKENS = 64
DEFAULT_PROMPT = "Describe this image."  # chat models only; captioners need none


class ImageToTextRunner(PretrainedRunner):
    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.processor = self.load_companion(AutoProcessor)
        self.model = self.load(AutoModelForImageTextToText)
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.chats = bool(getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template)
        return size_mib(self.model)

    def begin(self, execution: Execution) -> None:
        execution.state = TextStream(self._decode)
        self._open(execution)  # so that a broken file is told before the model has done anything

    @torch.inference_mode()
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        for execution in batch:
            execution.state = stream = TextStream(self._decode)
            limit = execution.request.parameters.get("max_new_tokens") or DEFAULT_NEW_TOKENS
            inputs = self._inputs(execution).to(self.device, dtype=self.dtype)
            follower = _Follower(execution, control, stream, limit)
            with SeededNoise(seed_of(execution)):  # for models whose generation_config samples
                self.model.generate(
                    **inputs,
                    max_new_tokens=limit,
                    num_beams=1,
                    stopping_criteria=StoppingCriteriaList([follower]),
                )
            control.progress(execution, stream.count, limit, stream.end())
            prompt = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
            execution.outcome = Completed({"text": stream.text.strip()}, usage=Usage(prompt, stream.count))

    def cancelled(self, execution: Execution) -> Cancelled:
        stream: TextStream = execution.state
        stream.end()
        return Cancelled({"text": stream.text.strip()}, Usage(output_tokens=stream.count))

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


class _Follower(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Sees every new token: streams it, and raises Stopped when the request was cancelled."""

    def __init__(self, execution: Execution, control: Control, stream: TextStream, limit: int) -> None:
        self._execution, self._control, self._stream, self._limit = execution, control, stream, limit

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        delta = self._stream.push(int(input_ids[0, -1]))
        self._control.checkpoint(self._execution, self._stream.count, self._limit, delta)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


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
