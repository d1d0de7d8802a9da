"""Who belongs to an organization, and as what. Called by the API; the admin has forms of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.db import transaction

from tenants_app.key_cache import key_cache
from tenants_app.models import Membership, Organization
from tenants_app.roles import Role


class NobodyOfThatName(Exception):
    """No active user has that name."""


class AlreadyMember(Exception):
    """Change the role instead."""


class LastAdmin(Exception):
    """Without them nobody of the organization could let anybody in again."""


def list_of(organization: Organization) -> list[Membership]:
    rows = Membership.objects.filter(organization=organization)
    return list(rows.select_related("user").order_by("user__username"))


def find(organization: Organization, username: str) -> Membership | None:
    rows = Membership.objects.filter(organization=organization, user__username=username)
    return rows.select_related("user").first()


def add(organization: Organization, username: str, role: Role) -> Membership:
    """Raises NobodyOfThatName and AlreadyMember."""
    user = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NobodyOfThatName
    row, made = Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
    if not made:
        raise AlreadyMember
    key_cache.clear()
    return row


def change_role(member: Membership, role: Role) -> None:
    """Raises LastAdmin."""
    with _another_admin_stays(member, still_admin=role == Role.ADMIN):
        member.role = role
        member.save(update_fields=["role"])


def remove(member: Membership) -> None:
    """Their keys and tokens for this organization are good no more. Raises LastAdmin."""
    with _another_admin_stays(member, still_admin=False):
        member.delete()


@contextmanager
def _another_admin_stays(member: Membership, still_admin: bool) -> Iterator[None]:
    """One change of members at a time, or two admins could remove each other."""
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=member.organization_id)
        admins = Membership.objects.filter(organization_id=member.organization_id, role=Role.ADMIN)
        was_admin = admins.filter(pk=member.pk).exists()
        if was_admin and not still_admin and not admins.exclude(pk=member.pk).exists():
            raise LastAdmin
        yield
    key_cache.clear()
