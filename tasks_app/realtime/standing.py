"""Whether whoever opened something that stays open may still be there: a key can be revoked, a person sign out.

What is asked once at the beginning of a short call is asked here again and again. Knows no transport.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest

from tenants_app.identity import Identity, of_user
from tenants_app.models import ApiKey


@dataclass(frozen=True, slots=True)
class Pass:
    """What somebody was let in with: a key, or a person's session."""

    organization_id: UUID
    api_key_id: UUID | None
    user_id: int | None
    session_key: str | None = None


def pass_of(identity: Identity, request: HttpRequest) -> Pass:
    """Of a request that was authenticated."""
    session = getattr(request, "session", None) if identity.api_key_id is None else None
    return Pass(identity.organization.pk, identity.api_key_id, identity.user_id, session and session.session_key)


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
    """Those that would not be let in again. Asks the database, one query for all keys."""
    keys = {each.api_key_id for each in passes if each.api_key_id}
    usable = set(ApiKey.objects.usable().filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()
    return [each for each in passes if not (each.api_key_id in usable if each.api_key_id else _person_stands(each))]


def _person_stands(held: Pass) -> bool:
    if held.user_id is None:
        return False
    user = _signed_in(held.session_key) if held.session_key else User.objects.filter(pk=held.user_id).first()
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
