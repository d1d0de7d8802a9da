"""/auth/token/: sign in with a password, and go on with a refresh token."""

from __future__ import annotations

from dataclasses import asdict

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import rates
from tasks_app.api import limiting, query
from tasks_app.api.documents import access as documents
from tasks_app.schemas.access import REFRESH_REQUEST, TOKEN_REQUEST
from tenants_app import logins
from tenants_app.logins import Tokens


class _OpenView(APIView):
    """For who has nothing to show yet. Cookies count for nothing here, so there is nothing to forge."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="baton"'  # without one DRF answers 403 where it means 401


class TokenView(_OpenView):
    @documents.sign_in
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        asked = TOKEN_REQUEST.run_validation(request.data)
        limits = limiting.sign_in_rates(request._request, asked["username"])
        limiting.refuse_beyond(request._request, limits, rates.count_strictly)
        return _answer(logins.sign_in(asked["username"], asked["password"], asked["organization"]))


class RefreshView(_OpenView):
    @documents.refresh
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return _answer(logins.refresh(REFRESH_REQUEST.run_validation(request.data)["refresh"]))


def _answer(tokens: Tokens | None) -> Response:
    if tokens is None:
        raise AuthenticationFailed("Name, password, organization or token is not right, or good no more.")
    return Response({**asdict(tokens), "token_type": "Bearer"}, headers={"Cache-Control": "no-store"})
