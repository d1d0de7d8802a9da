"""Making, checking, rotating and revoking API keys: `baton_<prefix>_<secret>`.

The secret has 256 random bits, so one SHA-256 is as safe as a slow password hash and costs a microsecond.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone

from tenants_app.key_cache import key_cache
from tenants_app.models import ApiKey, Organization
from tenants_app.roles import all_scopes

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PREFIX = "baton_"
FORM = re.compile(PREFIX + r"([a-z0-9]{8})_([\w-]{43})\Z", re.ASCII)
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def create(
    organization: Organization,
    name: str,
    user: User | None = None,
    expires_at: datetime | None = None,
    scopes: Sequence[str] | None = None,
    allowed_models: Sequence[str] = (),
    requests_per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """The row and the key in clear, which is shown this one time and never again."""
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        organization=organization,
        user=user,
        name=name,
        expires_at=expires_at,
        scopes=all_scopes() if scopes is None else list(scopes),
        allowed_models=list(allowed_models),
        requests_per_minute=requests_per_minute,
        prefix=prefix,
        secret_sha256=_digest(secret),
    )
    return row, f"{PREFIX}{prefix}_{secret}"


def find(key: str) -> ApiKey | None:
    """The usable row of a key in clear, with its organization and user; None for anything else."""
    match = FORM.match(key)
    if match is None:
        return None
    prefix, secret = match.groups()
    row = ApiKey.objects.usable().select_related("organization", "user").filter(prefix=prefix).first()
    return row if row is not None and _fits(row, _digest(secret)) else None


def _fits(row: ApiKey, digest: bytes) -> bool:
    if hmac.compare_digest(bytes(row.secret_sha256), digest):
        return True
    in_grace = row.previous_until is not None and row.previous_until > timezone.now()
    return in_grace and hmac.compare_digest(bytes(row.previous_sha256 or b""), digest)


def rotate(row: ApiKey, grace: timedelta = timedelta(0)) -> str | None:
    """The key with a new secret, in clear; the present one stays good for `grace`, one before it does not.

    None if somebody else has rotated or revoked it since `row` was read.
    """
    secret = secrets.token_urlsafe(32)
    current = ApiKey.objects.filter(pk=row.pk, secret_sha256=row.secret_sha256, revoked_at=None)
    rotated = current.update(
        secret_sha256=_digest(secret),
        previous_sha256=row.secret_sha256 if grace else None,
        previous_until=timezone.now() + grace if grace else None,
    )
    key_cache.clear()
    return f"{PREFIX}{row.prefix}_{secret}" if rotated else None


def revoke(key_id: UUID) -> bool:
    """Whether it was good until now. Other web processes may know it for `key_cache.SECONDS` more."""
    revoked = ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=timezone.now())
    key_cache.clear()
    return bool(revoked)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
