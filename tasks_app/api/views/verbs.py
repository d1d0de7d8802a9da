"""What can be done to a task: cancel it, try it again, ask why it waits, look at its attempts."""

from __future__ import annotations

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import explaining, selectors, services
from tasks_app.api import once, query, render
from tasks_app.api.access import identity_of, task_or_404
from tasks_app.api.documents import tasks as documents
from tasks_app.api.errors import AlreadyFinished
from tasks_app.api.views.tasks import MAX_WAIT, created
from tasks_app.realtime.holding import hold_while_unchanged
from tasks_app.services import CancelAnswer


class CancelView(APIView):
    @documents.cancel_task
    def patch(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, {"wait"})
        wait = query.integer(request.query_params, "wait", 0, 0, MAX_WAIT)
        shown = task_or_404(request, task_id)
        match services.cancel(shown.task, by=identity_of(request).username):
            case CancelAnswer.ALREADY_FINISHED:
                raise AlreadyFinished(f"The task has already ended: it is {shown.task.status}.")
            case CancelAnswer.CANCELLED:
                return Response(render.task(shown))
            case CancelAnswer.CANCELLING:
                response = Response(render.task(shown), status=status.HTTP_202_ACCEPTED)
                return hold_while_unchanged(request, response, shown.task, wait)

    @documents.cancel_task_by_post
    def post(self, request: Request, task_id: str) -> Response:
        return self.patch(request, task_id)


class RetryView(APIView):
    @documents.retry_task
    def post(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        identity, shown = identity_of(request), task_or_404(request, task_id)
        key = once.key_of(request, "retry", {"task_id": shown.task.pk})
        return created(request, services.retry_once(identity, shown.task, key), shown.organization)


class ExplainView(APIView):
    @documents.explain_task
    def get(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response(explaining.as_json(explaining.explain(task_or_404(request, task_id).task)))


class AttemptsView(APIView):
    @documents.list_attempts
    def get(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        attempts = selectors.attempts_of(task_or_404(request, task_id).task)
        return Response({"results": [render.attempt(row) for row in attempts]})
