"""Whether whoever opened something that stays open may still be there: a key can be revoked, a person sign out.

What is asked once at the beginning of a short call is asked here again and again. Knows no transport.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from tenants_app import keys
from tenants_app.identity import Identity, of_key, of_user
from tenants_app.models import ApiKey


@dataclass(frozen=True, slots=True)
class Pass:
    """What somebody was let in with: a bearer's key or token, or a person's session. Never shown, never logged."""

    organization_id: UUID
    api_key_id: UUID | None
    user_id: int | None
    session_key: str | None = field(default=None, repr=False)
    bearer: str = field(default="", repr=False)


def pass_of(identity: Identity, request: HttpRequest) -> Pass:
    """Of a request that was authenticated."""
    bearer = request.headers.get("Authorization", "").partition(" ")[2].strip()
    session = None if bearer else getattr(request, "session", None)
    return Pass(
        identity.organization.pk, identity.api_key_id, identity.user_id, session and session.session_key, bearer
    )


class Passes:
    """Those in use in this process, with what to do when one of them is worth nothing any more."""

    def __init__(self) -> None:
        self._held: dict[Pass, list[Callable[[], None]]] = {}

    @contextmanager
    def hold(self, held: Pass, on_end: Callable[[], None]) -> Iterator[None]:
        self._held.setdefault(held, []).append(on_end)
        try:
            yield
        finally:
            self._held[held].remove(on_end)
            if not self._held[held]:
                del self._held[held]

    def held(self) -> Collection[Pass]:
        return list(self._held)

    def end(self, passes: Collection[Pass]) -> None:
        for each in passes:
            for on_end in list(self._held.get(each, ())):
                on_end()


def worthless(passes: Collection[Pass]) -> list[Pass]:
    """Those that would not be let in again. Asks the database, one query for all keys, and believes no cache."""
    wanted = {each.api_key_id for each in passes if each.api_key_id}
    keys_now = ApiKey.objects.usable().select_related("organization", "user").in_bulk(wanted) if wanted else {}
    return [each for each in passes if not _stands(each, keys_now)]


def _stands(held: Pass, keys_now: Mapping[UUID, ApiKey]) -> bool:
    if held.api_key_id is not None:
        return _key_stands(held, keys_now.get(held.api_key_id))
    return _token_stands(held) if held.bearer else _person_stands(held)


def _key_stands(held: Pass, row: ApiKey | None) -> bool:
    if row is None or of_key(row) is None:
        return False
    secret = held.bearer.removeprefix(f"baton_{row.prefix}_")
    is_present = bytes(row.secret_sha256) == hashlib.sha256(secret.encode()).digest()
    return is_present or keys.find(held.bearer) is not None  # in the days of grace after a rotation


def _token_stands(held: Pass) -> bool:
    """As whoever lets in says, so that every kind of token counts that there is."""
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {held.bearer}"
    try:
        identity = APIView().initialize_request(request).user
    except APIException:
        return False
    return isinstance(identity, Identity) and identity.organization.pk == held.organization_id


def _person_stands(held: Pass) -> bool:
    user = _signed_in(held.session_key) if held.session_key else None
    if user is None or user.pk != held.user_id or not user.is_active:
        return False
    identity = of_user(user)
    return identity is not None and identity.organization.pk == held.organization_id


def _signed_in(session_key: str) -> User | None:
    """None after a sign-out, and after the password was changed elsewhere."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = auth.get_user(request)
    return user if isinstance(user, User) else None
