"""An image that a client stores ahead of the tasks that will read it."""

from __future__ import annotations

from dataclasses import asdict

from tasks_app import artifacts
from tasks_app.images.formats import validate
from tasks_app.models import Artifact
from tenants_app.identity import Identity


def store(identity: Identity, content: bytes) -> Artifact:
    """The row of an organization's own artifact. Raises InvalidImage."""
    stored = artifacts.store_bytes(content, validate(content), identity.organization.pk)
    try:
        return Artifact.objects.create(**asdict(stored), organization=identity.organization, is_input=True)
    except BaseException:
        artifacts.discard([stored.file])
        raise
