"""Django's own error answers: the envelope under the API's paths, the templates for everybody else."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults

from tasks_app.api.errors import envelope
from tasks_app.api.renderers import to_json

API = re.compile(
    r"/(tasks|artifacts|models|workers|queues|organizations?|api-keys|auth|usage|webhooks|v1|schema|healthz|readyz)(/|\Z)"
)


def _json(request: HttpRequest, status: int, message: str) -> HttpResponse:
    return HttpResponse(to_json(envelope(request, status, message)), status=status, content_type="application/json")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if API.match(request.path):
        return _json(request, 400, "The request cannot be read.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if API.match(request.path):
        return _json(request, 403, "You may not do this.")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if API.match(request.path):
        return _json(request, 404, "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    if API.match(request.path):
        return _json(request, 500, "Something went wrong inside; the request id finds it in the logs.")
    return defaults.server_error(request)
