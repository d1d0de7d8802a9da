"""What an acceptable image is, told from its first bytes: nothing is decoded here. Knows no request and no row."""

from __future__ import annotations

import warnings
from io import BytesIO

from django.conf import settings
from PIL import Image, UnidentifiedImageError

CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}


class InvalidImage(ValueError):
    """The message is a predicate about the image, for clients."""


def validate(content: bytes) -> str:
    """The content type of these bytes, whatever anybody claimed. Raises InvalidImage.

    Pillow reads only the header for this; a small file that would unpack to gigabytes is refused by its size in pixels.
    """
    if len(content) > settings.MAX_IMAGE_BYTES:
        raise InvalidImage(f"must be at most {settings.MAX_IMAGE_BYTES} bytes")
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(content), formats=list(CONTENT_TYPES)) as image:
            kind, (width, height) = image.format, image.size
    except UnidentifiedImageError:
        raise InvalidImage("must be a PNG, JPEG, WebP or GIF image") from None
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise InvalidImage(f"cannot be read: {error}") from None
    if width * height > settings.MAX_IMAGE_PIXELS or width < 1 or height < 1:
        raise InvalidImage(f"must be at most {settings.MAX_IMAGE_PIXELS} pixels, it has {width} x {height}")
    return CONTENT_TYPES[str(kind)]
