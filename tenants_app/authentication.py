"""DRF authentication: Bearer API keys for integrators, Django's session (with CSRF) for operators.

Both put an `Identity` into `request.user`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants_app import keys
from tenants_app.identity import Identity, of_key, of_user
from tenants_app.models import ApiKey

CACHE_SECONDS = 5.0  # a look-up costs about a millisecond; a revoked key may live this much longer
LAST_USED_SECONDS = 60.0  # `last_used_at` is written at most this often
CACHE_MAX = 10_000  # entries


class _KeyCache:
    """Recently seen keys by the hash of their clear text, so that no secret stays in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[bytes, tuple[float, Identity]] = {}

    def find(self, key: str) -> Identity | None:
        digest = hashlib.sha256(key.encode()).digest()
        hit = self._seen.get(digest)
        if hit and time.monotonic() - hit[0] < CACHE_SECONDS:
            return hit[1]
        row = keys.find(key)
        if row is None:
            return None
        _note_use(row)
        with self._lock:
            if len(self._seen) >= CACHE_MAX:
                self._seen.clear()
            self._seen[digest] = (time.monotonic(), of_key(row))
        return self._seen[digest][1]

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()


key_cache = _KeyCache()


def _note_use(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is None or (now - row.last_used_at).total_seconds() > LAST_USED_SECONDS:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now)


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Identity, None] | None:
        scheme, _, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        identity = key_cache.find(key.strip()) if scheme.lower() == "bearer" else None
        if identity is None:
            raise AuthenticationFailed("This API key is not valid. Send 'Authorization: Bearer <key>'.")
        return identity, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="baton"'


class OperatorSessionAuthentication(SessionAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        found = super().authenticate(request)  # enforces CSRF
        if found is None:
            return None
        identity = of_user(found[0])
        if identity is None:
            raise AuthenticationFailed("This user belongs to no organization.")
        return identity, None
