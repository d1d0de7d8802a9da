"""Putting a task's image on the worker's disk before inference. Called by the worker, in a thread."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from tasks_app import artifacts
from tasks_app.images.download import DownloadFailed, download
from tasks_app.images.formats import EXTENSIONS, InvalidImage, validate
from tasks_app.images.intake import ARTIFACT
from tasks_app.models import Artifact


def materialize(image: str, organization_id: UUID, directory: Path) -> Path:
    """The file that holds `image`: artifact://<id> of that organization, or an https URL.

    Raises InvalidImage (never try again) or DownloadFailed (another time it may work); both messages are for clients.
    """
    try:
        content = _stored(image, organization_id) if image.startswith(ARTIFACT) else download(image)
        path = directory / f"input{EXTENSIONS[validate(content)]}"
    except InvalidImage as error:
        raise InvalidImage(f"The image {error}.") from None
    path.write_bytes(content)
    return path


def _stored(image: str, organization_id: UUID) -> bytes:
    row = Artifact.objects.filter(pk=image.removeprefix(ARTIFACT), organization=organization_id).first()
    if row is None:
        raise InvalidImage("names an artifact that no longer exists")
    try:
        with artifacts.open_file(str(row.file.name)) as file:
            return file.read()
    except FileNotFoundError:
        raise InvalidImage("names an artifact whose file is gone") from None
    except OSError as error:
        raise DownloadFailed(f"The artifact storage does not answer: {error}") from None
