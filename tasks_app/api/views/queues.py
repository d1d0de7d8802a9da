"""/queues/, and pausing and resuming a queue, a model or an organization."""

from __future__ import annotations

from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import pausing, selectors
from tasks_app.api import query
from tasks_app.api.access import identity_of, operator_of
from tasks_app.api.documents import queues as documents
from tasks_app.models import Pause, PauseKind
from tasks_app.schemas.pause import PAUSE_REQUEST
from tenants_app.roles import Scope


def rendered(pause: Pause) -> dict[str, Any]:
    return {name: getattr(pause, name) for name in ("kind", "name", "by", "reason", "at", "until")}


class QueuesView(APIView):
    @documents.list_queues
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        pauses = pausing.visible_to(identity_of(request))
        by_queue = {pause.name: rendered(pause) for pause in pauses if pause.kind == PauseKind.QUEUE}
        queues = [{**queue, "paused": by_queue.get(queue["name"])} for queue in selectors.queues()]
        return Response({"results": queues, "paused": [rendered(pause) for pause in pauses]})


def pause_view(kind: PauseKind) -> type[APIView]:
    class PauseView(APIView):
        needs = Scope.OPERATE

        @documents.pause(kind)
        def post(self, request: Request, name: str) -> Response:
            query.refuse_unknown(request.query_params, ())
            operator = operator_of(request)
            asked = PAUSE_REQUEST.run_validation(request.data or {})
            return Response(rendered(pausing.pause(kind, name, operator.username, **asked)))

    return PauseView


def resume_view(kind: PauseKind) -> type[APIView]:
    class ResumeView(APIView):
        needs = Scope.OPERATE

        @documents.resume(kind)
        def post(self, request: Request, name: str) -> Response:
            query.refuse_unknown(request.query_params, ())
            pausing.resume(kind, name, operator_of(request).username)
            return Response(status=status.HTTP_204_NO_CONTENT)

    return ResumeView
