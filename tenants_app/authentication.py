"""DRF authentication: Bearer API keys for integrators; Bearer access tokens, or Django's session with CSRF, for people.

All put an `Identity` into `request.user`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants_app import keys, logins
from tenants_app.identity import Identity, of_key, of_user
from tenants_app.key_cache import SECONDS
from tenants_app.key_cache import key_cache as key_cache
from tenants_app.models import ApiKey

LAST_USED = timedelta(minutes=1)  # `last_used_at` is written at most this often


def of_api_key(key: str) -> Identity | None:
    """Whose key this is; None if it is none, or good no more, or of someone who is out."""
    if known := key_cache.find(key):
        return known
    started = key_cache.started()
    row = keys.find(key)
    identity = of_key(row) if row else None
    if row is None or identity is None:
        return None
    _note_use(row)
    key_cache.keep(key, identity, _seconds_left(row), started)
    return identity


def _note_use(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is None or now - row.last_used_at > LAST_USED:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now)


def _seconds_left(row: ApiKey) -> float:
    """Until its end, or that of its secret before the last rotation, if that is sooner."""
    now = timezone.now()
    ends = [end for end in (row.expires_at, row.previous_until) if end and end > now]
    return min([SECONDS, *((end - now).total_seconds() for end in ends)])


def of_bearer(text: str) -> Identity | None:
    """Whose API key or access token this is, for whatever is no DRF view."""
    return logins.of_token(text) if is_token(text) else of_api_key(text)


def is_token(text: str) -> bool:
    """Has it the form of a JWT, which no API key has?"""
    return text.count(".") == 2 and not text.startswith(keys.PREFIX)


class _Bearer(BaseAuthentication):
    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="baton"'


class ApiKeyAuthentication(_Bearer):
    def authenticate(self, request: Request) -> tuple[Identity, None] | None:
        scheme, text = _authorization(request)
        if not scheme or (scheme == "bearer" and is_token(text)):
            return None
        identity = of_api_key(text) if scheme == "bearer" else None
        if identity is None:
            raise AuthenticationFailed("This API key is not valid. Send 'Authorization: Bearer <key>'.")
        return identity, None


class AccessTokenAuthentication(_Bearer):
    def authenticate(self, request: Request) -> tuple[Identity, None] | None:
        scheme, text = _authorization(request)
        if scheme != "bearer" or not is_token(text):
            return None
        identity = logins.of_token(text)
        if identity is None:
            raise AuthenticationFailed("This token is not valid, or no more; /auth/token/refresh/ gives a new one.")
        return identity, None


def _authorization(request: Request) -> tuple[str, str]:
    scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
    return scheme.lower(), text.strip()


class OperatorSessionAuthentication(SessionAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        found = super().authenticate(request)  # enforces CSRF
        if found is None:
            return None
        identity = of_user(found[0])
        if identity is None:
            raise AuthenticationFailed("This user belongs to no organization.")
        return identity, None
