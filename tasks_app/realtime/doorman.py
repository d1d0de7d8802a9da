"""Who is at the other end of a socket. What it may do is what the same credentials may over HTTP: every order is a call
of that view, with its authentication and its permissions. Runs on the web process's threads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import NotAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.realtime.standing import Pass, pass_of
from tenants_app.identity import Identity


@dataclass(frozen=True, slots=True)
class Guest:
    """The headers of the handshake, and the token that was sent later, if one was. Neither is ever shown or logged."""

    scope: dict[str, Any] = field(repr=False)
    token: str = field(default="", repr=False)
    request_id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def has_key(self) -> bool:
        return any(name.lower() == b"authorization" for name, _ in self.scope["headers"])

    def authenticate(self) -> tuple[Identity, Pass]:
        """Raises what a view would: AuthenticationFailed, NotAuthenticated."""
        request = self.request("GET")
        identity = APIView().initialize_request(request).user
        if not isinstance(identity, Identity):
            raise NotAuthenticated
        return identity, pass_of(identity, request)

    def call(self, view_class: type[APIView], method: str = "GET", counted: bool = True, **arguments: str) -> Any:
        """What this view answers to a request of theirs. Raises what the view does. `counted`: against their limits."""
        view = view_class()
        request = view.initialize_request(self.request(method))
        view.request = request
        view.perform_authentication(request)
        view.check_permissions(request)
        if counted:
            view.check_throttles(request)
        response = getattr(view, method.lower())(request, **arguments)
        assert isinstance(response, Response)
        return response.data

    def request(self, method: str) -> HttpRequest:
        scope = {**self.scope, "type": "http", "method": method, "query_string": b"", "headers": self._headers()}
        request = ASGIRequest(scope, BytesIO())
        request.request_id = self.request_id  # type: ignore[attr-defined]
        SessionMiddleware(_nothing).process_request(request)
        AuthenticationMiddleware(_nothing).process_request(request)
        # A cookie is only looked at when the handshake came from one of our own pages, which is what CSRF is about.
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        return request

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(name.lower(), value) for name, value in self.scope["headers"]]
        if self.token:
            headers = [(name, value) for name, value in headers if name not in (b"authorization", b"cookie")]
            return [*headers, (b"authorization", f"Bearer {self.token}".encode())]
        return headers if self._is_own_page(headers) else [(n, value) for n, value in headers if n != b"cookie"]

    def _is_own_page(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Any page can open a socket to us, and the browser sends our cookie along; but it tells whose page it is."""
        origin = dict(headers).get(b"origin", b"").decode("latin-1")
        try:
            host = ASGIRequest({**self.scope, "type": "http", "method": "GET"}, BytesIO()).get_host()
        except DisallowedHost:
            return False
        return origin in settings.CSRF_TRUSTED_ORIGINS or (origin != "null" and urlsplit(origin).netloc == host)


def _nothing(_: HttpRequest) -> HttpResponse:
    return HttpResponse()
