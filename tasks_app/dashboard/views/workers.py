"""/ui/workers/ - who works, on what, and how they are; operators hold them back here."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from tasks_app import operating
from tasks_app.dashboard import live, machines
from tasks_app.dashboard.access import signed_in
from tenants_app.identity import Identity
from tenants_app.roles import Scope
from workers_app.models import WorkerState

REASON_LENGTH = 500  # characters, as the row holds them


@require_safe
@signed_in
def page(request: HttpRequest, identity: Identity) -> HttpResponse:
    return render(request, "dashboard/workers.html", _context(identity))


@require_safe
@signed_in
def fragment(request: HttpRequest, identity: Identity) -> HttpResponse:
    return live.fragment(request, "dashboard/_workers.html", _context(identity))


@require_POST
@signed_in
def steer(request: HttpRequest, identity: Identity, name: str) -> HttpResponse:
    identity.require(Scope.OPERATE)
    state, reason = request.POST.get("state", ""), request.POST.get("reason", "").replace("\0", "")[:REASON_LENGTH]
    if state not in WorkerState.values:
        raise Http404("There is no such state.")
    if operating.set_worker_state(name, WorkerState(state), identity.username, reason) is None:
        raise Http404(f"There is no worker {name}.")
    messages.success(request, f"{name} is {state} now.")
    return redirect("workers-page")


def _context(identity: Identity) -> dict[str, object]:
    return {"machines": machines.read(identity.may_operate), "may_operate": identity.may_operate}
