"""The rows that an address or a body means: another organization's is the same 404 as one that does not exist."""

from __future__ import annotations

from uuid import UUID

from django.http import QueryDict
from rest_framework.request import Request

from tasks_app.api.access import identity_of
from tasks_app.api.errors import InvalidInput, NotFound
from tasks_app.models import OpenAIFile
from tasks_app.openai import batches, files
from tasks_app.openai.ids import BATCH, FILE, parsed


def file_or_404(request: Request, text: str) -> OpenAIFile:
    file_id = parsed(FILE, text)
    file = files.find(identity_of(request), file_id) if file_id else None
    if file is None:
        raise NotFound(f"There is no file {text}.")
    return file


def batch_or_404(request: Request, text: str) -> batches.Shown:
    batch_id = parsed(BATCH, text)
    batch = batches.find(identity_of(request), batch_id) if batch_id else None
    if batch is None:
        raise NotFound(f"There is no batch {text}.")
    return batch


def after(query: QueryDict, prefix: str) -> UUID | None:
    """The last row of the page before."""
    text = query.get("after")
    row_id = parsed(prefix, text) if text is not None else None
    if text is not None and row_id is None:
        raise InvalidInput(f"after must be an id such as {prefix}…", "after")
    return row_id
