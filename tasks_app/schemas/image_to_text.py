"""Captions of images, and answers about them."""

from __future__ import annotations

from django.conf import settings

from tasks_app.schemas.parameters import Parameters
from tasks_app.schemas.strict import Integer, Strict, Text

MAX_DATA_URL = settings.MAX_IMAGE_BYTES * 4 // 3 + 100  # characters: base64 and its prefix


class ImageToTextInput(Strict):
    image = Text(
        1, MAX_DATA_URL, help_text="artifact://<id>, an https URL, or a data URL of a PNG, JPEG, WebP or GIF image."
    )
    prompt = Text(1, 2_000, required=False, allow_null=True, help_text="For models that answer questions.")


class ImageToTextParameters(Parameters):
    max_new_tokens = Integer(1, 2048, default=64)
