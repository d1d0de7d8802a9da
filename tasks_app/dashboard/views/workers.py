"""/ui/workers/ - who works, on what, and how they are."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks_app.dashboard import live, machines
from tasks_app.dashboard.access import signed_in
from tenants_app.identity import Identity


@require_safe
@signed_in
def page(request: HttpRequest, identity: Identity) -> HttpResponse:
    return render(request, "dashboard/workers.html", {"machines": machines.read()})


@require_safe
@signed_in
def fragment(request: HttpRequest, identity: Identity) -> HttpResponse:
    return live.fragment(request, "dashboard/_workers.html", {"machines": machines.read()})
