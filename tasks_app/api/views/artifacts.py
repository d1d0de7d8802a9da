"""/artifacts/: the files that tasks made, and images for tasks to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase
from rest_framework import status
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import files, query, render
from tasks_app.api.access import artifact_or_404, identity_of
from tasks_app.api.documents import results as documents
from tasks_app.api.errors import InvalidInput, NotFound, PayloadTooLarge
from tasks_app.api.negotiation import WhateverIsAccepted
from tasks_app.images import uploads
from tasks_app.images.formats import InvalidImage


class RawImageParser(BaseParser):
    media_type = "image/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return stream.read(settings.MAX_IMAGE_BYTES + 1)


class ArtifactView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_artifact
    def get(self, request: Request, artifact_id: str) -> HttpResponseBase:
        query.refuse_unknown(request.query_params, ())
        artifact = artifact_or_404(request, artifact_id)
        try:
            return files.respond(request._request, artifact)
        except FileNotFoundError:
            raise NotFound(f"The file of artifact {artifact_id} is gone.") from None


class ArtifactsView(APIView):
    parser_classes = [MultiPartParser, RawImageParser]

    @documents.store_artifact
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        content = _content(request.data)
        if len(content) > settings.MAX_IMAGE_BYTES:
            raise PayloadTooLarge(f"file must be at most {settings.MAX_IMAGE_BYTES} bytes")
        try:
            artifact = uploads.store(identity_of(request), content)
        except InvalidImage as error:
            raise InvalidInput(f"file {error}", "file") from None
        response = Response(render.artifact(artifact), status=status.HTTP_201_CREATED)
        response["Location"] = f"/artifacts/{artifact.pk}"
        return response


def _content(data: Any) -> bytes:
    """The bytes of a raw body, or of the one part `file`; one more than allowed at most."""
    if isinstance(data, bytes):
        return data
    for name in data:
        if name != "file":
            raise InvalidInput(f"{name[: query.MAX_TEXT]} is not a known field", name[: query.MAX_TEXT])
    file = data.get("file")
    if not isinstance(file, UploadedFile):
        raise InvalidInput("file is required", "file")
    content: bytes = file.read(settings.MAX_IMAGE_BYTES + 1)
    return content
