"""Bytes of artifacts: written to and removed from Django's storage. `services` and `transitions` write the rows."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

import structlog
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError

from tasks_app.outcomes import StoredArtifact
from tenants_app.ids import uuid7

log = structlog.get_logger(__name__)
EXTENSIONS = {
    "image/jpeg": ".jpg",
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
}


def store_file(path: Path, content_type: str, owner: UUID) -> StoredArtifact:
    """Copy a finished file into the storage, under its task; OSError when the storage cannot take it."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        handle.seek(0)
        return _store(File(handle), content_type, owner, path.stat().st_size, digest)


def store_bytes(content: bytes, content_type: str, owner: UUID) -> StoredArtifact:
    return _store(ContentFile(content), content_type, owner, len(content), hashlib.sha256(content).hexdigest())


def _store(content: File[bytes], content_type: str, owner: UUID, size: int, digest: str) -> StoredArtifact:
    artifact_id = uuid7()
    extension = EXTENSIONS.get(content_type) or mimetypes.guess_extension(content_type) or ""
    name = default_storage.save(f"{owner.hex[-2:]}/{owner}/{artifact_id}{extension}", content)
    return StoredArtifact(artifact_id, name, content_type, size, digest)


def open_file(name: str) -> IO[bytes]:
    return default_storage.open(name, "rb")


def discard(names: Iterable[str]) -> None:
    """Remove files whose rows are gone or were never written; what cannot be removed is left and logged."""
    for name in names:
        try:
            default_storage.delete(name)
        except OSError as error:
            log.warning("artifact_not_removed", file=name, reason=str(error))


@contextmanager
def discarded_on_failure(files: Collection[str]) -> Iterator[None]:
    """Removes files whose rows could not be written. If the reply to a commit was lost the rows may be there, so then
    the files stay.
    """
    try:
        yield
    except (OperationalError, InterfaceError):
        raise
    except BaseException:
        discard(files)
        raise
