"""/ui/tasks/ - all tasks, narrowed by what the address says, newest first."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks_app import pausing
from tasks_app.api import query
from tasks_app.api.errors import InvalidInput
from tasks_app.dashboard import curl, live, rows
from tasks_app.dashboard.access import signed_in
from tasks_app.states import Status
from tenants_app.identity import Identity
from workers_app.models import TaskType
from workers_app.selectors import enabled_models

PAGE = 50  # tasks


@require_safe
@signed_in
def page(request: HttpRequest, identity: Identity) -> HttpResponse:
    asked = _given(request.GET)
    models = sorted({model.name for model in enabled_models()} | {name for name in asked.getlist("model") if name})
    filters = {"statuses": list(Status), "task_types": TaskType.choices, "models": models, "asked": asked.dict()}
    try:
        context = _context(identity, asked)
    except InvalidInput as error:
        return render(request, "dashboard/tasks.html", {**filters, "problem": error.message}, status=400)
    return render(request, "dashboard/tasks.html", {**filters, **context})


@require_safe
@signed_in
def fragment(request: HttpRequest, identity: Identity) -> HttpResponse:
    try:
        context = _context(identity, _given(request.GET))
    except InvalidInput as error:
        return HttpResponse(error.message, status=400, content_type="text/plain")
    return live.fragment(request, "dashboard/_tasks.html", context)


def _given(typed: QueryDict) -> QueryDict:
    """Without what a form sends empty."""
    given = QueryDict(mutable=True)
    for name, values in typed.lists():
        given.setlist(name, [value for value in values if value])
        if not given.getlist(name):
            del given[name]
    return given


def _context(identity: Identity, asked: QueryDict) -> dict[str, Any]:
    """Raises InvalidInput."""
    query.refuse_unknown(asked, query.FILTERS | {"before", "after"})
    narrowed = query.task_filter(asked)
    before, after = query.uuid(asked, "before"), query.uuid(asked, "after")
    found = rows.read(identity, narrowed, PAGE, before, after)
    return {
        "rows": found.rows,
        "newer": _address(asked, "after", found.newer),
        "older": _address(asked, "before", found.older),
        "narrowed": any(name in query.FILTERS for name in asked),
        "address": asked.urlencode(),
        "sees_all": identity.sees_all,
        "pauses": pausing.visible_to(identity),
        "example": curl.command(curl.EXAMPLE),
    }


def _address(asked: QueryDict, direction: str, beyond: object) -> str:
    """The query of the neighbouring page, or nothing."""
    if beyond is None:
        return ""
    moved = asked.copy()
    for name in ("before", "after"):
        moved.pop(name, None)
    moved[direction] = str(beyond)
    return moved.urlencode()
