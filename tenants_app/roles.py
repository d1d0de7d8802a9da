"""What a role may do, and what a key may be narrowed to. Pure words; `identity` puts them together."""

from __future__ import annotations

from enum import StrEnum

from django.core.exceptions import PermissionDenied
from django.db.models import TextChoices


class Role(TextChoices):
    """Of a member in an organization. Staff of the installation stand above all of them."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Scope(StrEnum):
    READ = "tasks:read"  # every GET but those below
    WRITE = "tasks:write"  # submit, cancel, retry, delete, upload, send a webhook again
    ADMIN = "admin"  # keys, members and webhook secrets of the own organization
    OPERATE = "operate"  # steer workers, queues and models, which all organizations share


STAFF = "staff"  # stands for `is_staff` where a role is named
GRANTED: dict[str, frozenset[Scope]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.WRITE}),
    Role.ADMIN: frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
    STAFF: frozenset(Scope),
}
LOWEST: dict[Scope, str] = {scope: next(role for role in GRANTED if scope in GRANTED[role]) for scope in Scope}


def all_scopes() -> list[str]:
    """The default of a key: whatever its owner may do, now and later."""
    return [str(scope) for scope in Scope]


class NotPermitted(PermissionDenied):
    """Who asks is known and may not do this; the message is a sentence that names who may."""
