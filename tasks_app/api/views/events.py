"""/tasks/{id}/events: a task's events as they happen."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseBase
from rest_framework import status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.access import identity_of, task_or_404
from tasks_app.api.documents import events as documents
from tasks_app.api.errors import InvalidInput
from tasks_app.models import Task
from tasks_app.realtime import sse, standing
from tasks_app.realtime.events import START, Position
from tasks_app.states import FINAL

RESUME = "Last-Event-ID"  # what a browser sends that was cut off; it counts more than the address


class JsonOrEvents(DefaultContentNegotiation):
    """Whoever asks for events alone still gets JSON when the answer is an error."""

    def select_renderer(self, request, renderers, format_suffix=None):  # type: ignore[no-untyped-def]
        if wants_events(request):
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)


def wants_events(request: Request) -> bool:
    accepted = [kind.partition(";")[0].strip().lower() for kind in request.headers.get("Accept", "").split(",")]
    return sse.MEDIA_TYPE in accepted


class TaskEventsView(APIView):
    content_negotiation_class = JsonOrEvents

    @documents.task_events
    def get(self, request: Request, task_id: str) -> HttpResponseBase:
        query.refuse_unknown(request.query_params, {"after"})
        task = task_or_404(request, task_id).task
        after = _after(request)
        if after.seq > task.last_seq:
            raise InvalidInput("after is beyond the end of the task's log", "after")
        if after.seq == task.last_seq and task.status in FINAL:
            return HttpResponse(status=status.HTTP_204_NO_CONTENT)  # tells a browser not to come again
        return events_of(request, task, after)


def _after(request: Request) -> Position:
    text = request.headers.get(RESUME) or request.query_params.get("after")
    if text is None:
        return START
    try:
        return Position.parse(text)
    except ValueError:
        raise InvalidInput("after must be the id of an event, such as 3 or 3.17", "after") from None


def events_of(request: Request, task: Task, after: Position = START, status: int = 200) -> HttpResponseBase:
    """All from behind `after`, as long as it takes."""
    holder = standing.pass_of(identity_of(request), request._request)
    return sse.respond(sse.events_of(task.pk, after, holder), status)
