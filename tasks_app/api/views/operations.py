"""Numbers for operators: how many tasks, how well, how fast."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import metrics
from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.documents import operations as documents


class MetricsView(APIView):
    @documents.metrics
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, {"window"})
        window = query.choice(request.query_params, "window", metrics.WINDOWS) or "all"
        return Response(metrics.read(identity_of(request), window))
