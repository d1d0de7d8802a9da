"""Sending a stored file: whole or one range of it, in chunks, never as something a browser would run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.http import parse_etags

from tasks_app import artifacts
from tasks_app.api.chunks import ChunkedResponse
from tasks_app.models import Artifact

CHUNK = 256 * 1024  # bytes
RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})\Z", re.ASCII)
# What browsers show and cannot run. Anything else, SVG and HTML above all, is for saving only.
INLINE = {
    "image/png", "image/jpeg", "image/webp", "audio/wav", "audio/mpeg", "audio/ogg", "audio/flac",
}  # fmt: skip


class Unsatisfiable(ValueError):
    """The range begins beyond the end of the file."""


class FileResponse(ChunkedResponse):
    """Reads `length` bytes from where the file stands."""

    def __init__(self, file: IO[bytes], length: int, **options: Any) -> None:
        super().__init__(_chunks(file, length), **options)
        self._resource_closers.append(file.close)  # type: ignore[attr-defined]


def _chunks(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := file.read(min(CHUNK, length))):
        length -= len(chunk)
        yield chunk


def respond(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    """200, 206, 304 or 416. OSError when the storage does not have the file."""
    tag = f'"{artifact.sha256}"'
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        response: HttpResponseBase = HttpResponse(status=304)
    else:
        response = _content(request, artifact, tag)
    disposition = "inline" if artifact.content_type in INLINE else "attachment"
    name = str(artifact.file.name).rpartition("/")[2]
    response["Content-Disposition"] = f'{disposition}; filename="{name}"'
    response["ETag"] = tag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Accept-Ranges"] = "bytes"
    return response


def _content(request: HttpRequest, artifact: Artifact, tag: str) -> HttpResponseBase:
    size, kind = artifact.size_bytes, artifact.content_type
    asked = request.headers.get("Range", "")
    if request.headers.get("If-Range", tag) != tag:
        asked = ""  # the client's part is of another file
    try:
        part = byte_range(asked, size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = part or (0, size)
    file = artifacts.open_file(str(artifact.file.name))
    file.seek(start)
    headers = {"Content-Length": str(stop - start)}
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return FileResponse(file, stop - start, status=206 if part else 200, content_type=kind, headers=headers)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and stop (exclusive) of a single range; None for the whole file, which also answers what it cannot read."""
    match = RANGE.match(header)
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:  # the last n bytes
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise Unsatisfiable
    return start, stop
