"""An answer as server-sent events while it is made. Follows the task as every live transport does (`realtime`).

A client that leaves before the end cancels the task; so does an answer that cannot go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, StreamingHttpResponse

from tasks_app import selectors
from tasks_app.api.renderers import to_json
from tasks_app.models import Task
from tasks_app.openai import failures, leaving
from tasks_app.openai.chunks import Chunks
from tasks_app.openai.failures import Failure
from tasks_app.openai.transcript import Changed, Transcript
from tasks_app.realtime import live, sse
from tasks_app.realtime.changes import LOOK_AGAIN
from tasks_app.realtime.events import DELTA
from tasks_app.realtime.following import Follower, follow
from tasks_app.realtime.standing import pass_of
from tasks_app.states import Status
from tenants_app.identity import Identity

log = structlog.get_logger(__name__)
DONE = b"data: [DONE]\n\n"
CHANGED = Failure(500, "answer_changed", "A worker was lost, and the answer began anew and differently.")
DELETED = Failure(404, "not_found", "The task has been deleted.")
REFUSED = Failure(401, "unauthenticated", "This API key is not valid any more.")


class Broken(Exception):
    """The answer ends with an error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def respond(request: HttpRequest, identity: Identity, task: Task, chunks: Chunks) -> StreamingHttpResponse:
    """200 at once: what goes wrong later is an event with an error in it."""
    return sse.respond(_events(request, identity, task, chunks))


async def _events(request: HttpRequest, identity: Identity, task: Task, chunks: Chunks) -> AsyncIterator[bytes]:
    serving, has_ended = live.current.get(), False
    try:
        with follow(task.pk, holder=pass_of(identity, request)) as follower:
            try:
                async for piece in _pieces(follower, identity, task, chunks):
                    yield piece
            except Broken as error:
                yield _data(error.failure.body(request))
            has_ended = follower.ended
    finally:
        if not has_ended:
            await serving.on_thread(leaving.cancel, leaving.Leaver(task, identity.username))


async def _pieces(follower: Follower, identity: Identity, task: Task, chunks: Chunks) -> AsyncIterator[bytes]:
    transcript = Transcript()
    while not follower.ended:
        event = await follower.next(sse.COMMENT_SECONDS)
        if follower.refused:
            raise Broken(REFUSED)
        if event is None:
            yield sse.SILENCE
        elif event.type == DELTA:
            begun = bool(transcript.sent)
            for chunk in _text(chunks, _heard(transcript, event.data), begun):
                yield chunk
    ended = await _result(identity, task)
    for chunk in _end(chunks, transcript, ended):
        yield chunk


def _end(chunks: Chunks, transcript: Transcript, ended: Task) -> Iterator[bytes]:
    try:
        rest = transcript.end((ended.result or {})["text"])
    except Changed:
        raise Broken(CHANGED) from None
    if not transcript.sent and not rest and (first := chunks.first()):
        yield _data(first)
    yield from _text(chunks, rest, begun=bool(transcript.sent))
    yield _data(chunks.last(ended))
    if chunks.with_usage:
        yield _data(chunks.used(ended))
    yield DONE


def _heard(transcript: Transcript, data: dict[str, Any]) -> str:
    try:
        return transcript.hear(data["offset"], data["text"])
    except Changed:
        raise Broken(CHANGED) from None


def _text(chunks: Chunks, text: str, begun: bool) -> Iterator[bytes]:
    if text and not begun and (first := chunks.first()):
        yield _data(first)
    if text:
        yield _data(chunks.text(text))


async def _result(identity: Identity, task: Task) -> Task:
    """The task, completed; otherwise Broken. Waits for a database that is away."""
    while True:
        try:
            shown = await live.current.get().on_thread(selectors.find_task, identity, task.pk)
            break
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_away", reason=str(error).strip())
            await asyncio.sleep(LOOK_AGAIN)
    if shown is None:
        raise Broken(DELETED)
    if shown.task.status != Status.COMPLETED:
        raise Broken(failures.failure_of(shown.task))
    return shown.task


def _data(content: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % to_json(content)
