"""Files of OpenAI's clients: stored as artifacts, seen by their organization alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.db import transaction
from django.db.models import QuerySet

from tasks_app import artifacts
from tasks_app.models import Artifact, FilePurpose, OpenAIFile
from tasks_app.outcomes import StoredArtifact
from tenants_app.identity import Identity
from tenants_app.models import Organization

MAX_BYTES = 64 * 1024 * 1024  # of one file: 10,000 requests of 6 KiB
JSONL = "application/jsonl"


@dataclass(frozen=True, slots=True)
class Page:
    files: Sequence[OpenAIFile]
    more: bool


def upload(identity: Identity, file: UploadedFile[bytes]) -> OpenAIFile:
    """A file with requests. OSError when the storage cannot take it."""
    owner = identity.organization.pk
    if isinstance(file, TemporaryUploadedFile):
        stored = artifacts.store_file(Path(file.temporary_file_path()), JSONL, owner)
    else:
        stored = artifacts.store_bytes(file.read(), JSONL, owner)
    with artifacts.discarded_on_failure([stored.file]), transaction.atomic():
        return enter(stored, identity.organization, (file.name or "")[-255:], FilePurpose.BATCH)


def enter(stored: StoredArtifact, organization: Organization, filename: str, purpose: FilePurpose) -> OpenAIFile:
    """Its rows, in the caller's transaction."""
    is_input = purpose == FilePurpose.BATCH
    artifact = Artifact.objects.create(**asdict(stored), organization=organization, is_input=is_input)
    file = OpenAIFile.objects.create(artifact=artifact, organization=organization, filename=filename, purpose=purpose)
    artifact.refresh_from_db(fields=["created_at"])
    return file


def _visible_to(identity: Identity) -> QuerySet[OpenAIFile]:
    files = OpenAIFile.objects.select_related("artifact")
    return files if identity.sees_all else files.filter(organization=identity.organization)


def find(identity: Identity, file_id: UUID) -> OpenAIFile | None:
    return _visible_to(identity).filter(pk=file_id).first()


def page(identity: Identity, limit: int, after: UUID | None, purpose: str | None, newest_first: bool) -> Page:
    """Of those that come after the file `after` in that order."""
    files = _visible_to(identity).order_by("-pk" if newest_first else "pk")
    if purpose is not None:
        files = files.filter(purpose=purpose)
    if after is not None:
        files = files.filter(pk__lt=after) if newest_first else files.filter(pk__gt=after)
    rows = list(files[: limit + 1])
    return Page(rows[:limit], more=len(rows) > limit)


def delete(file: OpenAIFile) -> None:
    """Batches that name it still do."""
    name = str(file.artifact.file.name)
    with transaction.atomic():
        file.artifact.delete()
        transaction.on_commit(lambda: artifacts.discard([name]))
