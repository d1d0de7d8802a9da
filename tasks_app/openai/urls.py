"""The paths under /v1. A trailing slash is optional everywhere."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, re_path

from tasks_app.openai.views.batches import BatchCancelView, BatchesView, BatchView
from tasks_app.openai.views.files import FileContentView, FilesView, FileView
from tasks_app.openai.views.images import ImageContentView, ImagesView
from tasks_app.openai.views.models import ModelsView, ModelView
from tasks_app.openai.views.speech import SpeechView
from tasks_app.openai.views.text import ChatCompletionsView, CompletionsView

PART = r"[^/\x00]+"


def _at(path: str, view: Any, name: str) -> URLPattern:
    route: URLPattern = re_path(f"^v1/{path}/?$", view.as_view(), name=name)
    return route


urlpatterns = [
    _at("models", ModelsView, "openai-models"),
    _at(r"models/(?P<model>[^\x00]+?)", ModelView, "openai-model"),
    _at("chat/completions", ChatCompletionsView, "openai-chat-completions"),
    _at("completions", CompletionsView, "openai-completions"),
    _at("images/generations", ImagesView, "openai-images"),
    _at(f"images/content/(?P<token>{PART})", ImageContentView, "openai-image"),
    _at("audio/speech", SpeechView, "openai-speech"),
    _at("files", FilesView, "openai-files"),
    _at(f"files/(?P<file_id>{PART})", FileView, "openai-file"),
    _at(f"files/(?P<file_id>{PART})/content", FileContentView, "openai-file-content"),
    _at("batches", BatchesView, "openai-batches"),
    _at(f"batches/(?P<batch_id>{PART})", BatchView, "openai-batch"),
    _at(f"batches/(?P<batch_id>{PART})/cancel", BatchCancelView, "openai-batch-cancel"),
]
