"""Server-sent events: a task's events as a stream that browsers and line readers can follow and resume."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from django.http import StreamingHttpResponse

from tasks_app.api.renderers import to_json
from tasks_app.realtime.events import Event, Position
from tasks_app.realtime.following import follow
from tasks_app.realtime.standing import Pass

MEDIA_TYPE = "text/event-stream"
COMMENT_SECONDS = 15.0  # of silence; proxies close what is silent for longer, and who has left is noticed
RETRY = b"retry: 2000\n\n"  # milliseconds after which a browser that was cut off comes back
SILENCE = b": nothing new\n\n"
REFUSED = b'event: closed\ndata: {"code":"unauthenticated"}\n\n'
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}  # no proxy may hold it back


def respond(chunks: AsyncIterator[bytes], status: int = 200) -> StreamingHttpResponse:
    """An answer that stays open until `chunks` end. A client that leaves cancels them where they wait."""
    return StreamingHttpResponse(chunks, status=status, content_type=MEDIA_TYPE, headers=HEADERS)


async def events_of(task_id: UUID, after: Position, holder: Pass) -> AsyncIterator[bytes]:
    """From behind `after` to the last event, or until `holder` is worth nothing any more."""
    yield RETRY
    with follow(task_id, after, holder) as follower:
        while not follower.ended:
            event = await follower.next(COMMENT_SECONDS)
            if event is not None:
                yield frame(event)
            elif follower.refused:
                yield REFUSED
            elif not follower.ended:
                yield SILENCE


def frame(event: Event) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(event.position).encode(),
        event.type.encode(),
        to_json(event.as_json()),
    )
