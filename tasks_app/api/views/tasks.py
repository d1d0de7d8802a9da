"""/tasks/ and /tasks/{id}: submit, list, read, delete."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpResponseBase
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import selectors, services
from tasks_app.api import once, query, render
from tasks_app.api.access import identity_of, task_or_404
from tasks_app.api.documents import tasks as documents
from tasks_app.api.paging import link
from tasks_app.api.views.events import JsonOrEvents, events_of, wants_events
from tasks_app.realtime.holding import hold_while_unchanged
from tasks_app.schemas import submission
from tasks_app.services import Submitted

MAX_WAIT = 30  # seconds


class TasksView(APIView):
    content_negotiation_class = JsonOrEvents

    @documents.submit
    def post(self, request: Request) -> HttpResponseBase:
        identity = identity_of(request)
        made = submission.submit_once(identity, request.data, once.key_of(request, "tasks", request.data))
        if wants_events(request):
            return events_of(request, made.task, status=200 if made.replayed else 201)
        return created(request, made, identity.organization.slug)

    @documents.list_tasks
    def get(self, request: Request) -> Response:
        asked = request.query_params
        query.refuse_unknown(asked, query.FILTERS | {"limit", "before", "after"})
        tasks = selectors.list_tasks(identity_of(request), query.task_filter(asked))
        before, after = query.uuid(asked, "before"), query.uuid(asked, "after")
        page = selectors.page(tasks, query.integer(asked, "limit", query.PAGE, 1, query.MAX_PAGE), before, after)
        return Response(
            {
                "results": [render.task(shown) for shown in page.tasks],
                "next": link(request, "before", page.tasks[-1].task.pk) if page.older and page.tasks else None,
                "previous": link(request, "after", page.tasks[0].task.pk) if page.newer and page.tasks else None,
            }
        )


class TaskView(APIView):
    @documents.read_task
    def get(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, {"wait", "until"})
        wait = query.integer(request.query_params, "wait", 0, 0, MAX_WAIT)
        until_ended = query.choice(request.query_params, "until", ("change", "end")) == "end"
        shown = task_or_404(request, task_id)
        tag = render.etag(shown.task)
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if tag in known:
            response = Response(status=status.HTTP_304_NOT_MODIFIED)
        else:
            response = Response(render.task(shown))
        response["ETag"] = tag
        response["Cache-Control"] = "private, no-cache"
        # Whoever shows an old tag has not seen this state yet, so there is nothing to wait for.
        wait = wait if until_ended or not known or tag in known else 0
        return hold_while_unchanged(request, response, shown.task, wait, until_ended)

    @documents.delete_task
    def delete(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, {"force"})
        force = query.boolean(request.query_params, "force")
        task = task_or_404(request, task_id).task
        services.delete(task, by=identity_of(request).username, force=force)
        return Response(status=status.HTTP_204_NO_CONTENT)


def created(request: Request, made: Submitted, organization: str) -> Response:
    """201 and the new task, or 200 and as it is now the one that an earlier request with the same key made."""
    if made.replayed:
        shown = task_or_404(request, str(made.task.pk))
    else:
        shown = replace(selectors.submitted(identity_of(request), made.task), organization=organization)
    return once.answer(render.task(shown), f"/tasks/{made.task.pk}", made.replayed)
