"""A download on its way to the disk: the file appears whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
from pathlib import Path
from typing import Self
from uuid import uuid4

import httpx

from baton_client.errors import DamagedFile
from baton_client.shapes.tasks import Artifact, Task

SUFFIXES = {
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
}
_SHA256 = re.compile(r'"([0-9a-f]{64})"')


class Incoming:
    """Written beside `path` under another name, which nobody sees any more after `finish` or a failure."""

    def __init__(self, path: Path, artifact: Artifact | None, response: httpx.Response) -> None:
        self._path = path
        self._beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
        found = _SHA256.fullmatch(response.headers.get("ETag", ""))
        self._expected = artifact.sha256 if artifact else found[1] if found else None
        self._sum = hashlib.sha256()

    def __enter__(self) -> Self:
        self._file = self._beside.open("xb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._beside.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._sum.update(chunk)
        self._file.write(chunk)

    def finish(self) -> Path:
        """Raises DamagedFile."""
        if self._expected not in (None, self._sum.hexdigest()):
            raise DamagedFile(f"{self._path} was not written: what arrived has another sha256 than the server's file.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._beside.replace(self._path)
        return self._path


def targets(task: Task, to: Path) -> list[tuple[Artifact, Path]]:
    """Where each file of a task goes: into the folder `to`, or one file to just that path, and more beside it.

    The suffix is the content's when `to` has none: picture → picture.png, picture-2.png.
    """
    placed = []
    for number, artifact in enumerate(task.artifacts, 1):
        suffix = SUFFIXES.get(artifact.content_type) or mimetypes.guess_extension(artifact.content_type) or ".bin"
        path = to / f"{task.task_id}{suffix}" if to.is_dir() else to if to.suffix else to.with_name(to.name + suffix)
        placed.append((artifact, path if number == 1 else path.with_stem(f"{path.stem}-{number}")))
    return placed
