"""Who looks at a page, and what the page may load. Every view of the dashboard is wrapped in `signed_in`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase

from tasks_app import selectors
from tasks_app.selectors import Shown
from tenants_app.identity import Identity, of_user
from tenants_app.roles import Scope

Page = Callable[..., HttpResponseBase]
# Scripts, styles, images and sounds come from here and nowhere else, and none are written into the HTML.
CONTENT_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def signed_in(view: Page) -> Page:
    """The view gets the identity as its second argument. Raises PermissionDenied for people of no organization, and
    for viewers who want to change something.
    """

    @wraps(view)
    def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return _to_login(request)
        identity = of_user(request.user)
        if identity is None:
            raise PermissionDenied("You are not a member of an organization yet. An administrator can add you to one.")
        if request.method not in ("GET", "HEAD"):
            identity.require(Scope.WRITE)
        request.may_write = identity.may_write  # type: ignore[attr-defined]  # for the buttons
        return with_policy(view(request, identity, **arguments))

    return guarded


def _to_login(request: HttpRequest) -> HttpResponse:
    if "HX-Request" in request.headers:  # a login page has no place inside a fragment, so the whole page is asked again
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def with_policy(response: HttpResponseBase) -> HttpResponseBase:
    response["Content-Security-Policy"] = CONTENT_POLICY
    response["Cache-Control"] = "private, no-cache"
    return response


def task_or_404(identity: Identity, task_id: UUID) -> Shown:
    """Somebody else's task is not there either."""
    shown = selectors.find_task(identity, task_id)
    if shown is None:
        raise Http404(f"There is no task {task_id}.")
    return shown
