"""/v1/chat/completions and /v1/completions: text from a conversation, a prompt, or a question about an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from tasks_app.api.access import identity_of
from tasks_app.openai import documents, render, streaming
from tasks_app.openai.chunks import ChatChunks, Chunks, CompletionChunks
from tasks_app.openai.held import HeldView
from tasks_app.openai.requests import chat, completions
from tasks_app.selectors import Shown


class ChatCompletionsView(HeldView):
    body = chat.CHAT_REQUEST

    @documents.create_chat_completion
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)

    def body_of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return chat.body_of(asked)

    def completed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        return Response(render.chat_completion(shown.task))

    def streamed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        return _stream(request, ChatChunks(shown.task, _with_usage(asked)))


class CompletionsView(HeldView):
    body = completions.COMPLETION_REQUEST

    @documents.create_completion
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)

    def body_of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return completions.body_of(asked)

    def completed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        return Response(render.completion(shown.task))

    def streamed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        return _stream(request, CompletionChunks(shown.task, _with_usage(asked)))


def _with_usage(asked: Mapping[str, Any]) -> bool:
    return bool((asked.get("stream_options") or {}).get("include_usage"))


def _stream(request: Request, chunks: Chunks) -> HttpResponseBase:
    return streaming.respond(request._request, identity_of(request), chunks.task, chunks)
