"""Who is asking: what every transport knows after authentication and every use-case takes as its first argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from django.contrib.auth.models import User

from tenants_app.models import ApiKey, Membership, Organization


@dataclass(frozen=True, slots=True)
class Identity:
    """`organization` owns what is created. A staff session also sees the other organizations' rows.

    `may_operate`: may steer what all organizations share (workers, queues, models). So may whoever is staff, with a
    session or with a key of theirs.

    It stands in for DRF's user object, which asks only for `is_authenticated` and `pk`.
    """

    organization: Organization
    user_id: int | None
    username: str
    sees_all: bool = False
    api_key_id: UUID | None = None
    may_operate: bool = False

    is_authenticated = True

    @property
    def pk(self) -> str:
        return str(self.api_key_id or self.user_id)


def of_key(key: ApiKey) -> Identity:
    user = key.user
    return Identity(
        key.organization,
        user.pk if user else None,
        user.get_username() if user else key.name,
        api_key_id=key.pk,
        may_operate=bool(user and user.is_active and user.is_staff),
    )


def of_user(user: User) -> Identity | None:
    """The first organization the person joined; staff without one work in the oldest; others without one are nobody."""
    membership = Membership.objects.select_related("organization").filter(user=user).order_by("id").first()
    if membership is not None:
        return Identity(membership.organization, user.pk, user.get_username(), user.is_staff, may_operate=user.is_staff)
    oldest = Organization.objects.order_by("id").first() if user.is_staff else None
    return Identity(oldest, user.pk, user.get_username(), True, may_operate=True) if oldest else None
