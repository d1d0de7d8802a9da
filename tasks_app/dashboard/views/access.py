"""Signing in and out, and addresses typed without their last slash."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.views.decorators.http import require_safe

from tasks_app.dashboard.access import with_policy


class Login(LoginView):
    template_name = "dashboard/login.html"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return with_policy(super().dispatch(request, *args, **kwargs))


class Logout(LogoutView):
    http_method_names = ["post", "options"]


@require_safe
def with_slash(request: HttpRequest) -> HttpResponse:
    return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
