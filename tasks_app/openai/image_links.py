"""Addresses of images that open without a key, as these clients expect: signed, and good for an hour."""

from __future__ import annotations

from uuid import UUID

from django.core import signing
from django.http import HttpRequest

from tasks_app.models import Artifact

GOOD_FOR = 3600  # seconds
_signer = signing.TimestampSigner(salt="tasks_app.openai.image_links")


def link(request: HttpRequest, artifact_id: UUID) -> str:
    return request.build_absolute_uri(f"/v1/images/content/{_signer.sign(artifact_id.hex)}")


def find(token: str) -> Artifact | None:
    """None if it was never given out, is too old, or its image is gone."""
    try:
        artifact_id = _signer.unsign(token, max_age=GOOD_FOR)
    except signing.BadSignature:
        return None
    return Artifact.objects.filter(pk=UUID(hex=artifact_id)).first()
