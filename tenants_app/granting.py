"""Making and rotating keys on behalf of somebody: a key never grants more than its maker has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model

from tenants_app import keys
from tenants_app.identity import Identity, of_key
from tenants_app.models import ApiKey
from tenants_app.roles import NotPermitted, Scope

USUAL = frozenset({Scope.READ, Scope.WRITE})  # of a key whose maker names no scopes


class KeyChanged(Exception):
    """It was rotated or revoked meanwhile, or is of someone who is out."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key lets do. Empty `allowed_models`: all; `requests_per_minute` and `expires_at` None: no limit, never."""

    scopes: frozenset[Scope]
    allowed_models: frozenset[str] = frozenset()
    requests_per_minute: int | None = None
    expires_at: datetime | None = None


def make(
    identity: Identity,
    name: str,
    scopes: Sequence[str] | None = None,
    allowed_models: Sequence[str] = (),
    requests_per_minute: int | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A key of the maker, and its secret. What is left out is as narrow as the maker's own. Raises NotPermitted."""
    own = _own(identity)
    grant = Grant(
        frozenset(map(Scope, scopes)) if scopes is not None else own.scopes & USUAL or own.scopes,
        frozenset(allowed_models) or own.allowed_models,
        requests_per_minute or own.requests_per_minute,
        expires_at or own.expires_at,
    )
    _refuse_excess(own, grant)
    return keys.create(
        identity.organization,
        name,
        get_user_model().objects.get(pk=identity.user_id) if identity.user_id else None,
        grant.expires_at,
        [scope for scope in Scope if scope in grant.scopes],
        sorted(grant.allowed_models),
        grant.requests_per_minute,
    )


def rotate(identity: Identity, row: ApiKey, grace: timedelta) -> str:
    """The key in clear. Whoever rotates one learns its secret, so it too may grant no more than they have.

    Raises NotPermitted and KeyChanged.
    """
    theirs = of_key(row)
    if theirs is None:
        raise KeyChanged
    _refuse_excess(_own(identity), _own(theirs))
    secret = keys.rotate(row, grace)
    if secret is None:
        raise KeyChanged
    return secret


def _own(identity: Identity) -> Grant:
    limit, end = identity.key_requests_per_minute, identity.key_expires_at
    return Grant(identity.scopes, identity.allowed_models, limit, end)


def _refuse_excess(own: Grant, wanted: Grant) -> None:
    beyond: list[str] = sorted(map(str, wanted.scopes - own.scopes))
    if own.allowed_models:
        beyond += sorted(wanted.allowed_models - own.allowed_models) if wanted.allowed_models else ["every model"]
    if own.requests_per_minute and not 0 < (wanted.requests_per_minute or 0) <= own.requests_per_minute:
        beyond.append(f"more than {own.requests_per_minute} requests per minute")
    if own.expires_at and not (wanted.expires_at and wanted.expires_at <= own.expires_at):
        beyond.append(f"a life beyond {own.expires_at:%Y-%m-%dT%H:%M:%SZ}")
    if beyond:
        raise NotPermitted(
            f"A key grants no more than whoever makes it has, and this is beyond it: {', '.join(beyond)}."
        )
