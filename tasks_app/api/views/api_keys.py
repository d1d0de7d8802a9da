"""/api-keys/: an organization's keys: make, list, rotate, revoke."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.access import identity_of, key_or_404
from tasks_app.api.documents import access as documents
from tasks_app.api.errors import InvalidInput
from tasks_app.schemas.access import KEY_REQUEST, ROTATE_REQUEST
from tenants_app import granting, keys
from tenants_app.models import ApiKey
from tenants_app.roles import Scope
from workers_app.models import Model

SHOWN = ("prefix", "name", "scopes", "allowed_models", "requests_per_minute", "created_at", "last_used_at",
         "expires_at", "revoked_at", "previous_until")  # fmt: skip


def rendered(key: ApiKey) -> dict[str, Any]:
    owner = {"organization": key.organization.slug, "user": key.user.get_username() if key.user else None}
    return {"key_id": key.pk, **owner, **{name: getattr(key, name) for name in SHOWN}}


def with_secret(key: ApiKey, secret: str, code: int) -> Response:
    return Response({**rendered(key), "secret": secret}, status=code, headers={"Cache-Control": "no-store"})


class KeysView(APIView):
    needs = Scope.ADMIN

    @documents.list_keys
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, {"revoked"})
        rows = ApiKey.objects.visible_to(identity_of(request)).select_related("organization", "user").order_by("-id")
        if not query.boolean(request.query_params, "revoked"):
            rows = rows.filter(revoked_at=None)
        return Response({"results": [rendered(row) for row in rows]})

    @documents.make_key
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        asked = KEY_REQUEST.run_validation(request.data)
        _refuse_unknown_models(asked["allowed_models"])
        return with_secret(*granting.make(identity_of(request), **asked), status.HTTP_201_CREATED)


class KeyView(APIView):
    needs = Scope.ADMIN

    @documents.revoke_key
    def delete(self, request: Request, key_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        keys.revoke(key_or_404(request, key_id).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeyRotateView(APIView):
    needs = Scope.ADMIN

    @documents.rotate_key
    def post(self, request: Request, key_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        key = key_or_404(request, key_id)
        grace = ROTATE_REQUEST.run_validation(request.data or {})["grace_seconds"]
        secret = granting.rotate(identity_of(request), key, timedelta(seconds=grace))
        key.refresh_from_db(fields=["previous_until"])
        return with_secret(key, secret, status.HTTP_200_OK)


def _refuse_unknown_models(names: list[str]) -> None:
    """A misspelt name would make a key that can do nothing."""
    known = set(Model.objects.filter(name__in=names).values_list("name", flat=True))
    for name in names:
        if name not in known:
            raise InvalidInput(f"allowed_models names {name!r}, and there is no such model", "allowed_models")
