"""Making and checking API keys: `baton_<prefix>_<secret>`.

The secret has 256 random bits, so one SHA-256 is as safe as a slow password hash and costs a microsecond.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from tenants_app.models import ApiKey, Organization

if TYPE_CHECKING:
    from django.contrib.auth.models import User

FORM = re.compile(r"baton_([a-z0-9]{8})_([\w-]{43})\Z", re.ASCII)
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def create(
    organization: Organization, name: str, user: User | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """The row and the key in clear, which is shown this one time and never again."""
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        organization=organization,
        user=user,
        name=name,
        expires_at=expires_at,
        prefix=prefix,
        secret_sha256=_digest(secret),
    )
    return row, f"baton_{prefix}_{secret}"


def find(key: str) -> ApiKey | None:
    """The usable row of a key in clear, with its organization and user; None for anything else."""
    match = FORM.match(key)
    if match is None:
        return None
    prefix, secret = match.groups()
    row = ApiKey.objects.usable().select_related("organization", "user").filter(prefix=prefix).first()
    if row is None or not hmac.compare_digest(bytes(row.secret_sha256), _digest(secret)):
        return None
    return row


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
