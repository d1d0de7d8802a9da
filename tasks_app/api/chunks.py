"""Long answers in pieces: each is made on a thread when the event loop asks for it, so nothing is whole in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import StreamingHttpResponse

from tasks_app.api.renderers import to_json


class ChunkedResponse(StreamingHttpResponse):
    """Of an iterator that gives no empty piece."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self)
        following = sync_to_async(lambda: next(chunks, b""), thread_sensitive=False)
        while chunk := await following():
            yield chunk


class JsonLines(ChunkedResponse):
    """A line for each object; `pages` are read one at a time, and hold a database connection only meanwhile."""

    def __init__(self, pages: Iterable[Iterable[Any]], **options: Any) -> None:
        super().__init__(_lines(pages), content_type="application/x-ndjson", **options)


def _lines(pages: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    for page in pages:
        chunk = b"".join(to_json(each) + b"\n" for each in page)
        if not connection.in_atomic_block:
            connection.close()  # back to the pool: the next page may be read by another thread
        if chunk:
            yield chunk
