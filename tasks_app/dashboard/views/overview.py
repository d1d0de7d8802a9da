"""/ - is it healthy, is it keeping up, what fails, who works?"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks_app import metrics, pausing
from tasks_app.dashboard import counts, curl, live, machines, rows
from tasks_app.dashboard.access import signed_in
from tasks_app.dashboard.views.submit import empty_form
from tasks_app.selectors import TaskFilter
from tenants_app.identity import Identity
from workers_app.models import TaskType

LATEST = 15  # tasks


@require_safe
@signed_in
def page(request: HttpRequest, identity: Identity) -> HttpResponse:
    return render(
        request, "dashboard/overview.html", {**_context(identity), "form": empty_form(TaskType.LLM), "inline": True}
    )


@require_safe
@signed_in
def fragment(request: HttpRequest, identity: Identity) -> HttpResponse:
    return live.fragment(request, "dashboard/_overview.html", _context(identity))


def _context(identity: Identity) -> dict[str, Any]:
    everything, *by_type = counts.read(identity)
    return {
        "everything": everything,
        "by_type": by_type,
        "metrics": metrics.read(identity, "24h"),
        "machines": machines.read(identity.may_operate),
        "pauses": pausing.visible_to(identity),
        "rows": rows.read(identity, TaskFilter(), LATEST).rows,
        "sees_all": identity.sees_all,
        "example": curl.command(curl.EXAMPLE),
    }
