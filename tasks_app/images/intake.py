"""Taking in the image that a request names. Called at submit; afterwards the row says artifact:// or https://."""

from __future__ import annotations

import base64
import binascii
import re
from uuid import UUID

from rest_framework.exceptions import ValidationError

from tasks_app import artifacts
from tasks_app.images.formats import CONTENT_TYPES, InvalidImage, validate
from tasks_app.models import Artifact
from tasks_app.outcomes import StoredArtifact
from tasks_app.schemas.strict import is_url
from tenants_app.identity import Identity

ARTIFACT = "artifact://"
MAX_URL = 2_000  # characters
DATA_URL = re.compile(r"data:(image/[a-z]+);base64,", re.ASCII | re.IGNORECASE)


def take(image: str, identity: Identity, task_id: UUID) -> tuple[str, tuple[StoredArtifact, ...]]:
    """What the row says, and what was stored for it. Raises ValidationError for `input.image`."""
    try:
        if image[:5].lower() == "data:":
            stored = _store(image, task_id)
            return f"{ARTIFACT}{stored.id}", (stored,)
        if image.startswith(ARTIFACT):
            _check_artifact(image.removeprefix(ARTIFACT), identity)
        elif len(image) > MAX_URL or not is_url(image, ("https",)):
            raise InvalidImage(f"must be artifact://<id>, an https URL of at most {MAX_URL} characters, or a data URL")
        return image, ()
    except InvalidImage as error:
        raise ValidationError({"input": {"image": [str(error)]}}) from None


def _store(data_url: str, task_id: UUID) -> StoredArtifact:
    head = DATA_URL.match(data_url)
    if head is None or head[1].lower() not in CONTENT_TYPES.values():
        raise InvalidImage("must be a base64 data URL of a PNG, JPEG, WebP or GIF image")
    try:
        content = base64.b64decode(data_url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidImage("must be valid base64") from None
    return artifacts.store_bytes(content, validate(content), task_id)


def _check_artifact(text: str, identity: Identity) -> None:
    try:
        row = Artifact.objects.filter(pk=UUID(text), organization=identity.organization).first()
    except ValueError:
        row = None
    if row is None:
        raise InvalidImage("names an artifact that does not exist")
    if row.content_type not in CONTENT_TYPES.values():
        raise InvalidImage(f"names an artifact that is no image but {row.content_type}")
