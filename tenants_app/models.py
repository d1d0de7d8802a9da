"""Rows of who may ask: every row that belongs to a client points, directly or over its task, to an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from tenants_app.ids import uuid7
from tenants_app.roles import Role, all_scopes

if TYPE_CHECKING:
    from tenants_app.identity import Identity

__all__ = ["ApiKey", "ApiKeyQuerySet", "Login", "Membership", "Organization", "Role"]


class Organization(models.Model):
    """A tenant. `slug` is what the API shows."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    weight = models.FloatField(default=1.0, db_default=1.0)  # of its share of the machines while all are busy
    concurrency_limit = models.PositiveIntegerField(null=True, blank=True)  # tasks on workers at once; null: no limit
    # null: no limit
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)  # of the API, all keys and people together
    queued_limit = models.PositiveIntegerField(null=True, blank=True)  # tasks that wait at once
    gpu_seconds_per_day = models.PositiveIntegerField(null=True, blank=True)  # of UTC, of tasks that ended in it
    tokens_per_day = models.PositiveBigIntegerField(null=True, blank=True)  # input and output together, likewise
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(weight__gt=0), name="organization_has_weight")]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.OPERATOR)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> ApiKeyQuerySet:
        alive = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(alive, revoked_at=None)

    def visible_to(self, identity: Identity) -> ApiKeyQuerySet:
        return self if identity.sees_all else self.filter(organization=identity.organization)


def revoke_with_owner(collector: Any, field: Any, keys: Any, using: str) -> None:
    """On delete of a user: their keys stay for the accounts, and are dead."""
    collector.add_field_update(field, None, keys)
    living = [key for key in keys if key.revoked_at is None]
    collector.add_field_update(field.model._meta.get_field("revoked_at"), timezone.now(), living)


revoke_with_owner.lazy_sub_objs = False  # type: ignore[attr-defined]


class ApiKey(models.Model):
    """A bearer secret of an organization. Only its SHA-256 is kept; `prefix` is shown and found by."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, revoke_with_owner, null=True, blank=True, related_name="api_keys"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    secret_sha256 = models.BinaryField(max_length=32, editable=False)
    previous_sha256 = models.BinaryField(max_length=32, null=True, editable=False)  # the secret before this one
    previous_until = models.DateTimeField(null=True, editable=False)  # it is good until then
    scopes = ArrayField(models.CharField(max_length=32), default=all_scopes)  # of what the owner may do
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True)  # empty: all
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)  # null: no limit of its own
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(scopes__contained_by=all_scopes()), name="api_key_scopes_known")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class Login(models.Model):
    """A person who signed in over the API. Its tokens are good while this row is, and only its newest refresh token."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="logins")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    refresh_id = models.UUIDField()  # of the one refresh token that may still be used, once
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"
