"""/tasks/ and /tasks/{id}: submit, list, read, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import QueryDict
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import selectors, services
from tasks_app.api import documents, query, render
from tasks_app.api.access import identity_of, task_or_404
from tasks_app.models import Task
from tasks_app.realtime.holding import hold_while_unchanged
from tasks_app.schemas import submission

MAX_WAIT = 30  # seconds


class TasksView(APIView):
    @documents.submit
    def post(self, request: Request) -> Response:
        task = submission.submit(identity_of(request), request.data)
        response = Response(show(task), status=status.HTTP_201_CREATED)
        response["Location"] = f"/tasks/{task.pk}"
        return response

    @documents.list_tasks
    def get(self, request: Request) -> Response:
        asked = request.query_params
        query.refuse_unknown(asked, query.FILTERS | {"limit", "before", "after"})
        tasks = selectors.list_tasks(identity_of(request), query.task_filter(asked))
        before, after = query.uuid(asked, "before"), query.uuid(asked, "after")
        page = selectors.page(tasks, query.integer(asked, "limit", query.PAGE, 1, query.MAX_PAGE), before, after)
        return Response(
            {
                "results": show_many(page.tasks),
                "next": _link(request, "before", page.tasks[-1]) if page.older and page.tasks else None,
                "previous": _link(request, "after", page.tasks[0]) if page.newer and page.tasks else None,
            }
        )


class TaskView(APIView):
    @documents.read_task
    def get(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, {"wait"})
        wait = query.integer(request.query_params, "wait", 0, 0, MAX_WAIT)
        task = task_or_404(request, task_id)
        tag = render.etag(task)
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if tag in known:
            response = Response(status=status.HTTP_304_NOT_MODIFIED)
        else:
            response = Response(show(task))
        response["ETag"] = tag
        response["Cache-Control"] = "private, no-cache"
        # Whoever shows an old tag has not seen this state yet, so there is nothing to wait for.
        return hold_while_unchanged(request, response, task, wait if not known or tag in known else 0)

    @documents.delete_task
    def delete(self, request: Request, task_id: str) -> Response:
        query.refuse_unknown(request.query_params, {"force"})
        force = query.boolean(request.query_params, "force")
        task = task_or_404(request, task_id)
        services.delete(task, by=identity_of(request).username, force=force)
        return Response(status=status.HTTP_204_NO_CONTENT)


def show(task: Task) -> dict[str, Any]:
    return show_many([task])[0]


def show_many(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    outputs = selectors.outputs_of(tasks)
    return [render.task(task, outputs.get(task.pk, ())) for task in tasks]


def _link(request: Request, direction: str, task: Task) -> str:
    """This list's address, moved on to beyond a row of it."""
    asked: QueryDict = request.query_params.copy()
    for name in ("before", "after"):
        asked.pop(name, None)
    asked[direction] = str(task.pk)
    return request.build_absolute_uri(f"{request.path}?{asked.urlencode()}")
