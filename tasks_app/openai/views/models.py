"""/v1/models: the names that `model` may have."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.errors import NoSuchModel
from tasks_app.openai import documents, render
from tasks_app.openai.negotiation import WhateverIsAccepted
from workers_app.models import Model
from workers_app.selectors import enabled_models


class ModelsView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.list_models
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        rows = {row.name: render.model(row) for row in usable(request)}  # a name may be one of several task types
        return Response({"object": "list", "data": list(rows.values())})


class ModelView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_model
    def get(self, request: Request, model: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        row = next((row for row in usable(request) if row.name == model), None)
        if row is None:
            raise NoSuchModel(f"There is no model {model!r}.", "model")
        return Response(render.model(row))


def usable(request: Request) -> list[Model]:
    """With this key."""
    allowed = identity_of(request).allowed_models
    return [row for row in enabled_models() if not allowed or row.name in allowed]
