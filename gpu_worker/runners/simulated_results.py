"""What the simulated runner returns: small, real, of the right shape, and a function of input and seed alone."""

from __future__ import annotations

import math
import random
from typing import Any

from gpu_worker.engine.protocol import Cancelled, Completed, Submit, Usage
from gpu_worker.runners.base import Execution

MAX_SIDE = 2048  # pixels
SAMPLE_RATE = 16000  # hertz
SECONDS_PER_CHARACTER = 0.05
MAX_AUDIO_SECONDS = 10.0
QUOTED = 200  # characters of the prompt that are repeated


def words(request: Submit) -> tuple[str, ...]:
    """What a text model says, word by word; nothing for the other kinds. Joined they are the text."""
    if request.model.task_type == "llm":
        text = f"You said: {_prompt(request)[:QUOTED]!r}. This is a simulated answer, made without a model."
    elif request.model.task_type == "image_to_text":
        text = "a simulated caption of an image"
    else:
        return ()
    limit = request.parameters.get("max_new_tokens") or 256
    first, *rest = text.split(" ")[:limit]
    return (first, *(f" {word}" for word in rest))


def complete(execution: Execution, said: tuple[str, ...], seed: int) -> Completed:
    match execution.request.model.task_type:
        case "llm":
            return Completed(_text(said, "stop"), usage=_usage(execution.request, said))
        case "image_to_text":
            return Completed({"text": "".join(said)}, usage=_usage(execution.request, said))
        case "stable_diffusion":
            return _images(execution, seed)
        case _:
            return _speech(execution)


def partial(request: Submit, said: tuple[str, ...]) -> Cancelled:
    if request.model.task_type != "llm":
        return Cancelled()
    return Cancelled(_text(said, "cancelled"), _usage(request, said))


def _text(said: tuple[str, ...], finish_reason: str) -> dict[str, Any]:
    return {"text": "".join(said), "finish_reason": finish_reason}


def _usage(request: Submit, said: tuple[str, ...]) -> Usage:
    return Usage(input_tokens=len(_prompt(request).split()), output_tokens=len(said))


def _prompt(request: Submit) -> str:
    given = request.input
    if given.get("messages"):
        return str(given["messages"][-1]["content"])
    return str(given.get("prompt") or given.get("text") or "")


def _images(execution: Execution, seed: int) -> Completed:
    from gpu_worker.runners import images

    asked = execution.request.parameters
    size = (min(asked.get("width") or 512, MAX_SIDE), min(asked.get("height") or 512, MAX_SIDE))
    seeds = [seed + i for i in range(asked.get("num_images") or 1)]
    drawn = [_draw(f"{_prompt(execution.request)}|{one}", size) for one in seeds]
    return images.completed(execution, drawn, seeds)


def _draw(key: str, size: tuple[int, int]) -> Any:
    from PIL import Image, ImageDraw

    rng = random.Random(key)
    image = Image.new("RGB", size, _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        radius = rng.randrange(min(size) // 4 + 1) + 1
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng))
    return image


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _speech(execution: Execution) -> Completed:
    import numpy as np

    from gpu_worker.runners import audio

    text = _prompt(execution.request)
    speed = execution.request.parameters.get("speed") or 1.0
    seconds = min(MAX_AUDIO_SECONDS, max(1, len(text)) * SECONDS_PER_CHARACTER / speed)
    pitch = 220.0 + random.Random(text).randrange(220)  # hertz
    phase = np.arange(int(seconds * SAMPLE_RATE)) * (2 * math.pi * pitch / SAMPLE_RATE)
    return audio.completed(execution, (0.3 * np.sin(phase)).astype(np.float32), SAMPLE_RATE)
