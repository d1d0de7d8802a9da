"""Signing in over the API: a short access token, and a refresh token that is good for one use.

Both are JWTs, and good only while their `Login` is: who leaves, is made inactive or gets another password is out
with the next request. A refresh token that is used again was copied, so it ends the login.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from tenants_app.identity import Identity, of_member, of_user
from tenants_app.models import Login, Organization

LOGIN, PASSWORD = "login", "pwd"  # claims: the row's id, and what changes with the password
KEPT = 100  # logins of one person; the oldest end first


@dataclass(frozen=True, slots=True)
class Tokens:
    """In clear, with their lives in seconds."""

    access: str
    refresh: str
    access_seconds: int
    refresh_seconds: int


def sign_in(username: str, password: str, slug: str | None = None) -> Tokens | None:
    """None if name, password or organization are wrong; nothing says which."""
    user = authenticate(username=username, password=password)
    identity = _identity(user, slug) if isinstance(user, User) else None
    if not isinstance(user, User) or identity is None:
        return None
    refresh = RefreshToken()
    login = Login.objects.create(
        user=user, organization=identity.organization, refresh_id=UUID(refresh["jti"]), expires_at=_end()
    )
    _end_oldest(user)
    return _tokens(login, refresh)


def refresh(text: str) -> Tokens | None:
    """New tokens for the one refresh token that is good now; None for any other."""
    token = _read(RefreshToken, text)
    login = _login_of(token) if token else None
    if token is None or login is None or of_member(login.user, login.organization) is None:
        return None
    fresh = RefreshToken()
    current = Login.objects.filter(pk=login.pk, refresh_id=UUID(token["jti"]))
    if not current.update(refresh_id=UUID(fresh["jti"]), expires_at=_end()):
        Login.objects.filter(pk=login.pk).delete()
        return None
    return _tokens(login, fresh)


def of_token(text: str) -> Identity | None:
    """Whose access token this is; None if it is none, or good no more."""
    token = _read(AccessToken, text)
    login = _login_of(token) if token else None
    return of_member(login.user, login.organization) if login else None


def _identity(user: User, slug: str | None) -> Identity | None:
    if slug is None:
        return of_user(user)
    organization = Organization.objects.filter(slug=slug).first()
    return of_member(user, organization) if organization else None


def _tokens(login: Login, refresh: RefreshToken) -> Tokens:
    access = AccessToken()
    for token in (access, refresh):
        token[LOGIN], token[PASSWORD] = login.pk.hex, _password_mark(login.user)
    return Tokens(str(access), str(refresh), settings.JWT_ACCESS_SECONDS, settings.JWT_REFRESH_SECONDS)


def _read(kind: type[Token], text: str) -> Token | None:
    try:
        return kind(text)  # type: ignore[arg-type]
    except TokenError:
        return None


def _login_of(token: Token) -> Login | None:
    rows = Login.objects.select_related("user", "organization").filter(expires_at__gt=timezone.now())
    login = rows.filter(pk=UUID(token[LOGIN])).first()
    return login if login and token[PASSWORD] == _password_mark(login.user) else None


def _password_mark(user: User) -> str:
    return user.get_session_auth_hash()[:16]


def _end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.JWT_REFRESH_SECONDS)


def _end_oldest(user: User) -> None:
    """What has run out, and more than anybody needs at once, so that the table stays small without a clean-up."""
    Login.objects.filter(user=user, expires_at__lte=timezone.now()).delete()
    newest = Login.objects.filter(user=user).order_by("-id").values_list("pk", flat=True)
    if oldest := newest[KEPT - 1 : KEPT].first():
        Login.objects.filter(user=user, pk__lt=oldest).delete()
