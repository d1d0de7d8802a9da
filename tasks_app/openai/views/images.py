"""/v1/images/generations, and the images at the addresses that it gives out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import artifacts
from tasks_app.api import files
from tasks_app.api.errors import NotFound
from tasks_app.models import Artifact
from tasks_app.openai import documents, failures, image_links, render
from tasks_app.openai.held import HeldView
from tasks_app.openai.negotiation import WhateverIsAccepted
from tasks_app.openai.requests import images
from tasks_app.selectors import Shown


class ImagesView(HeldView):
    body = images.IMAGE_REQUEST

    @documents.create_image
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)

    def body_of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return images.body_of(asked)

    def completed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        by_id = {row.pk: row for row in shown.outputs}
        outputs = [by_id[UUID(image["artifact_id"])] for image in (shown.task.result or {})["images"]]
        try:
            drawn = [_told(request, output, asked.get("response_format")) for output in outputs]
        except FileNotFoundError:
            return failures.respond(request._request, failures.FILE_GONE)
        return Response(render.images(shown.task, drawn))


def _told(request: Request, image: Artifact, response_format: str | None) -> dict[str, str]:
    if response_format == "url":
        return {"url": image_links.link(request._request, image.pk)}
    with artifacts.open_file(str(image.file.name)) as file:
        return {"b64_json": base64.b64encode(file.read()).decode()}


class ImageContentView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = WhateverIsAccepted

    @documents.read_image
    def get(self, request: Request, token: str) -> HttpResponseBase:
        image = image_links.find(token)
        try:
            if image is not None:
                return files.respond(request._request, image)
        except FileNotFoundError:
            pass
        raise NotFound("There is no such image, or its address is too old.")
