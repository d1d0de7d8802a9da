"""A short request for each task type, with a seed, so that running it twice must give the same result."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

SEED = 7
SIMULATED = "simulated"  # the model of that name needs no weights; `parameters.simulate` says what it does


@dataclass(frozen=True, slots=True)
class Sample:
    task_type: str
    input: dict[str, Any]
    parameters: dict[str, Any]


def simulated(seconds: float, steps: int) -> Sample:
    """A text that takes as long as it is told."""
    return Sample("llm", {"prompt": "Hello"}, {"simulate": {"seconds": seconds, "steps": steps}})


def red_circle() -> str:
    """A data URL of a small PNG."""
    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((24, 24, 72, 72), fill="red")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


SAMPLES = (
    Sample("llm", {"prompt": "Tell me a story."}, {"max_new_tokens": 24, "seed": SEED}),
    Sample(
        "stable_diffusion",
        {"prompt": "a red circle on a white background"},
        {"num_inference_steps": 4, "seed": SEED},
    ),
    Sample("tts", {"text": "Hello world."}, {"seed": SEED}),
    Sample("image_to_text", {"image": red_circle()}, {"max_new_tokens": 24, "seed": SEED}),
)
