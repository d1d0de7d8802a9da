"""/v1/models: the names that `model` may have."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.errors import NoSuchModel
from tasks_app.openai import documents, render
from tasks_app.openai.negotiation import WhateverIsAccepted
from workers_app.selectors import enabled_models


class ModelsView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.list_models
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        rows = {row.name: render.model(row) for row in enabled_models()}  # a name may be one of several task types
        return Response({"object": "list", "data": list(rows.values())})


class ModelView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_model
    def get(self, request: Request, model: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        row = enabled_models().filter(name=model).first()
        if row is None:
            raise NoSuchModel(f"There is no model {model!r}.", "model")
        return Response(render.model(row))
