"""Signing in and out, and addresses typed without their last slash."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.views.decorators.http import require_safe

from tasks_app import rates
from tasks_app.api.limiting import sign_in_rates
from tasks_app.dashboard.access import with_policy

NAME_LENGTH = 150  # characters, as of Django's users


class Login(LoginView):
    template_name = "dashboard/login.html"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return with_policy(super().dispatch(request, *args, **kwargs))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """As slow for who guesses passwords as the API's own sign-in, and counted together with it."""
        limits = sign_in_rates(request, request.POST.get("username", "")[:NAME_LENGTH])
        if all(rates.count_strictly(rate).allowed for rate in limits):
            return super().post(request, *args, **kwargs)
        return self.render_to_response(self.get_context_data(too_many=True), status=429)


class Logout(LogoutView):
    http_method_names = ["post", "options"]


@require_safe
def with_slash(request: HttpRequest) -> HttpResponse:
    return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
