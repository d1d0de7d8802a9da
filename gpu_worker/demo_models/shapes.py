"""Drawings of one coloured shape and the sentence that describes each: the world of the image and the caption model.

Used by `diffusion` and `caption`. Knows Pillow and no model.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (220, 30, 30),
    "green": (30, 170, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 220, 40),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "purple": (140, 50, 180),
    "orange": (250, 140, 20),
}
SHAPES = ("circle", "square", "triangle", "cross")
COLOUR_JITTER = 12  # grey levels per channel, so that a model learns "red" and not one value of it
OVERSAMPLING = 2  # drawn larger and averaged down: smooth edges


@dataclass(frozen=True)
class Drawing:
    """What is drawn: a shape in one colour on a background of another."""

    shape: str
    colour: str
    background: str

    @property
    def caption(self) -> str:
        return f"a {self.colour} {self.shape} on a {self.background} background"


def draw(drawing: Drawing, size: int, rng: Random) -> Image.Image:
    """A square RGB image of `size` pixels; place and radius of the shape come from `rng`."""
    canvas_size = size * OVERSAMPLING
    image = Image.new("RGB", (canvas_size, canvas_size), _jittered(drawing.background, rng))
    radius = rng.randint(canvas_size // 4, canvas_size // 3)
    x, y = (rng.randint(radius + 2, canvas_size - radius - 2) for _ in range(2))
    _draw_shape(ImageDraw.Draw(image), drawing.shape, (x, y), radius, _jittered(drawing.colour, rng))
    return image.resize((size, size), Image.Resampling.BOX)


def _jittered(colour: str, rng: Random) -> Rgb:
    red, green, blue = (
        max(0, min(255, channel + rng.randint(-COLOUR_JITTER, COLOUR_JITTER))) for channel in COLOURS[colour]
    )
    return red, green, blue


def _draw_shape(canvas: ImageDraw.ImageDraw, shape: str, centre: tuple[int, int], radius: int, fill: Rgb) -> None:
    x, y = centre
    left, top, right, bottom = x - radius, y - radius, x + radius, y + radius
    if shape == "circle":
        canvas.ellipse((left, top, right, bottom), fill=fill)
    elif shape == "square":
        canvas.rectangle((left, top, right, bottom), fill=fill)
    elif shape == "triangle":
        canvas.polygon(((x, top), (left, bottom), (right, bottom)), fill=fill)
    else:
        arm = radius // 3
        canvas.rectangle((x - arm, top, x + arm, bottom), fill=fill)
        canvas.rectangle((left, y - arm, right, y + arm), fill=fill)


def pixels(image: Image.Image) -> NDArray[np.float32]:
    """Channels first, values from -1 to 1: what an image model reads and writes."""
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1


def dominant_colour(image: Image.Image, background: str) -> str:
    """The named colour nearest to most pixels, the background's own name left out."""
    values = np.asarray(image, dtype=np.float32).reshape(-1, 1, 3)
    palette = np.array(list(COLOURS.values()), dtype=np.float32)
    nearest = np.abs(values - palette).sum(axis=2).argmin(axis=1)
    counts = Counter(list(COLOURS)[index] for index in nearest)
    counts.pop(background, None)
    return counts.most_common(1)[0][0] if counts else background
