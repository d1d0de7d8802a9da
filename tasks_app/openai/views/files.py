"""/v1/files: files with requests, and those with the answers to them."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import files as sending
from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.errors import InvalidInput, NotFound, PayloadTooLarge
from tasks_app.models import FilePurpose
from tasks_app.openai import documents, files, render
from tasks_app.openai.access import after, file_or_404
from tasks_app.openai.ids import FILE, shown
from tasks_app.openai.negotiation import WhateverIsAccepted

MOST = 10_000  # files of a page


class FilesView(APIView):
    content_negotiation_class = WhateverIsAccepted
    parser_classes = [MultiPartParser]

    @documents.list_files
    def get(self, request: Request) -> Response:
        asked = request.query_params
        query.refuse_unknown(asked, {"after", "limit", "order", "purpose"})
        page = files.page(
            identity_of(request),
            query.integer(asked, "limit", MOST, 1, MOST),
            after(asked, FILE),
            query.choice(asked, "purpose", FilePurpose.values),
            newest_first=query.choice(asked, "order", ("desc", "asc")) != "asc",
        )
        return Response(render.listed([render.file(row) for row in page.files], page.more))

    @documents.upload_file
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response(render.file(files.upload(identity_of(request), _uploaded(request.data))))


def _uploaded(data: Any) -> UploadedFile[bytes]:
    for name in data:
        if name not in ("file", "purpose"):
            raise InvalidInput(f"{name[: query.MAX_TEXT]} is not a known field", name[: query.MAX_TEXT])
    if data.get("purpose") != FilePurpose.BATCH:
        raise InvalidInput("purpose must be batch: files for anything else are not supported here", "purpose")
    file = data.get("file")
    if not isinstance(file, UploadedFile):
        raise InvalidInput("file is required", "file")
    if (file.size or 0) > files.MAX_BYTES:
        raise PayloadTooLarge(f"file must be at most {files.MAX_BYTES} bytes")
    return file


class FileView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_file
    def get(self, request: Request, file_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response(render.file(file_or_404(request, file_id)))

    @documents.delete_file
    def delete(self, request: Request, file_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        file = file_or_404(request, file_id)
        answer = {"id": shown(FILE, file.pk), "object": "file", "deleted": True}
        files.delete(file)
        return Response(answer)


class FileContentView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_file_content
    def get(self, request: Request, file_id: str) -> HttpResponseBase:
        query.refuse_unknown(request.query_params, ())
        try:
            return sending.respond(request._request, file_or_404(request, file_id).artifact)
        except FileNotFoundError:
            raise NotFound(f"The content of file {file_id} is gone.") from None
