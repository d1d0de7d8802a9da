"""The outbox of webhooks: one row for each task that has an address and ended, and what its sending came to.

`events.append` writes it in the transaction of the final status; after that only `webhooks.deliveries` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tasks_app.models.task import Task
from tenants_app.models import Organization

if TYPE_CHECKING:
    from tenants_app.identity import Identity


class DeliveryState(models.TextChoices):
    PENDING = "pending"  # to be sent when it is due
    DELIVERED = "delivered"
    FAILED = "failed"  # given up; it can be sent again by hand


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def visible_to(self, identity: Identity) -> WebhookDeliveryQuerySet:
        return self if identity.sees_all else self.filter(organization=identity.organization)


class WebhookDelivery(models.Model):
    """Its id is the `webhook-id` of every try. A task has one final event, and so at most one of these."""

    id = models.UUIDField(primary_key=True, editable=False)
    task = models.OneToOneField(Task, models.CASCADE, related_name="webhook_delivery")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    host = models.CharField(max_length=300)  # of the address, cut: by it one slow receiver is told from others
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    due_at = models.DateTimeField(db_default=Now())  # of a row that is being sent: when its claim has run out
    tries = models.PositiveIntegerField(default=0)  # in all; the number of a try is also the fence of its claim
    tries_before = models.PositiveIntegerField(default=0)  # it was last sent again by hand
    last_status = models.PositiveSmallIntegerField(null=True)  # of HTTP
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["due_at"], name="webhook_due", condition=Q(state="pending")),
            models.Index(fields=["organization", "-id"], name="webhook_by_organization"),
            models.Index(fields=["ended_at"], name="webhook_by_end", condition=Q(state="delivered")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="webhook_state_known"),
            models.CheckConstraint(
                condition=Q(state="pending", ended_at=None) | (~Q(state="pending") & Q(ended_at__isnull=False)),
                name="webhook_ended_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.id}"

    @property
    def is_fresh(self) -> bool:
        """Its first try has not ended: whoever looks at it may wait for that."""
        return self.state == DeliveryState.PENDING and not self.last_error


class GoneEndpoint(models.Model):
    """An address that answered 410: nothing is sent there until somebody sends a delivery to it again by hand."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    url = models.CharField(max_length=2000)  # not unique: too long for an index, and two rows say no more than one
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.url


class WebhookSecret(models.Model):
    """That there is a secret. It is derived from this id and SECRET_KEY, so a copy of the database signs nothing."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)  # null: the current one

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], name="webhook_secret_current_once", condition=Q(expires_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.created_at:%Y-%m-%d}"
