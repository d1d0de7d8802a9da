"""/models/: what can be asked for."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query, render
from tasks_app.api.access import identity_of
from tasks_app.api.documents import results as documents
from workers_app.models import TaskType
from workers_app.selectors import enabled_models


class ModelsView(APIView):
    @documents.list_models
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, {"task_type"})
        task_type = query.choice(request.query_params, "task_type", TaskType.values)
        allowed = identity_of(request).allowed_models
        rows = [row for row in enabled_models(task_type) if not allowed or row.name in allowed]
        return Response({"results": [render.model(row) for row in rows]})
