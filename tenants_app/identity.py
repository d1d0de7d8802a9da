"""Who is asking: what every transport knows after authentication and every use-case takes as its first argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from django.contrib.auth.models import User

from tenants_app.models import ApiKey, Membership, Organization
from tenants_app.roles import GRANTED, LOWEST, STAFF, NotPermitted, Role, Scope


@dataclass(frozen=True, slots=True)
class Identity:
    """`organization` owns what is created. Staff in person also see the other organizations' rows.

    `scopes` are what the role grants, narrowed by the key. `allowed_models`: names; empty means all of them.

    It stands in for DRF's user object, which asks only for `is_authenticated` and `pk`.
    """

    organization: Organization
    user_id: int | None
    username: str
    sees_all: bool = False
    api_key_id: UUID | None = None
    role: str = Role.ADMIN
    scopes: frozenset[Scope] = GRANTED[Role.ADMIN]
    allowed_models: frozenset[str] = frozenset()
    key_requests_per_minute: int | None = None
    key_expires_at: datetime | None = None

    is_authenticated = True

    @property
    def pk(self) -> str:
        return str(self.api_key_id or self.user_id)

    @property
    def may_operate(self) -> bool:
        """May steer what all organizations share: workers, queues, models."""
        return Scope.OPERATE in self.scopes

    @property
    def may_write(self) -> bool:
        return Scope.WRITE in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises NotPermitted."""
        if scope in self.scopes:
            return
        needed = f"This needs the role {LOWEST[scope]}"
        if scope in GRANTED[self.role]:
            held = ", ".join(sorted(self.scopes)) or "no scope"
            raise NotPermitted(f"{needed} and a key with the scope {scope}; this key has {held}.")
        raise NotPermitted(f"{needed}; yours in {self.organization.slug} is {self.role}.")

    def require_model(self, name: str) -> None:
        """Raises NotPermitted."""
        if self.allowed_models and name not in self.allowed_models:
            raise NotPermitted(f"This key may not use the model {name}, only {', '.join(sorted(self.allowed_models))}.")


def of_key(key: ApiKey) -> Identity | None:
    """None if the key belongs to a person who is out. A key of nobody has what its scopes say, but is never staff's."""
    user = key.user
    role = role_of(user, key.organization) if user else Role.ADMIN
    if role is None:
        return None
    return Identity(
        key.organization,
        user.pk if user else None,
        user.get_username() if user else key.name,
        api_key_id=key.pk,
        role=role,
        scopes=GRANTED[role] & frozenset(map(Scope, key.scopes)),
        allowed_models=frozenset(key.allowed_models),
        key_requests_per_minute=key.requests_per_minute,
        key_expires_at=key.expires_at,
    )


def of_member(user: User, organization: Organization) -> Identity | None:
    """A person in one of their organizations."""
    role = role_of(user, organization)
    return _person(user, organization, role) if role else None


def of_user(user: User) -> Identity | None:
    """The first organization the person joined; staff without one work in the oldest; others without one are nobody."""
    if not user.is_active:
        return None
    joined = Membership.objects.select_related("organization").filter(user=user).order_by("id").first()
    if joined is not None:
        return _person(user, joined.organization, STAFF if user.is_staff else joined.role)
    oldest = Organization.objects.order_by("id").first() if user.is_staff else None
    return _person(user, oldest, STAFF) if oldest else None


def _person(user: User, organization: Organization, role: str) -> Identity:
    name = user.get_username()
    return Identity(organization, user.pk, name, sees_all=user.is_staff, role=role, scopes=GRANTED[role])


def role_of(user: User, organization: Organization) -> str | None:
    """None for who is not active, or neither a member nor staff."""
    if not user.is_active:
        return None
    if user.is_staff:
        return STAFF
    return Membership.objects.filter(user=user, organization=organization).values_list("role", flat=True).first()
