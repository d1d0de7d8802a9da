"""The secrets of an organization and the signature of a message, as Standard Webhooks has them.

While a secret is being replaced two are valid, and messages are signed with both.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from standardwebhooks import Webhook

from tasks_app.models import WebhookSecret
from tenants_app.models import Organization

OVERLAP = timedelta(hours=24)  # that the old secret stays valid, for receivers to learn the new one
SALT = "tasks_app.webhooks.secret"


@dataclass(frozen=True, slots=True)
class Secret:
    text: str  # whsec_…
    created_at: datetime
    expires_at: datetime | None  # None: the current one


def secrets_of(organization_id: UUID) -> list[Secret]:
    """The valid ones, newest first. The first secret is made when somebody asks for it."""
    valid = Q(expires_at=None) | Q(expires_at__gt=Now())
    rows = WebhookSecret.objects.filter(valid, organization_id=organization_id).order_by("-created_at")
    if not rows:
        WebhookSecret.objects.get_or_create(organization_id=organization_id, expires_at=None)
        rows = rows.all()
    return [Secret(_derived(row.pk), row.created_at, row.expires_at) for row in rows]


def rotate(organization_id: UUID) -> list[Secret]:
    """Make a new one. The one before stays valid for OVERLAP, and any older one no longer is."""
    rows = WebhookSecret.objects.filter(organization_id=organization_id)
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization_id)  # one rotation at a time
        rows.exclude(expires_at=None).delete()
        rows.update(expires_at=timezone.now() + OVERLAP)
        WebhookSecret.objects.create(organization_id=organization_id)
    return secrets_of(organization_id)


def headers(message_id: UUID, body: bytes, secrets: Iterable[Secret], now: datetime) -> dict[str, str]:
    text = body.decode()
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret.text).sign(str(message_id), now, text) for secret in secrets),
    }


def _derived(secret_id: UUID) -> str:
    key = salted_hmac(SALT, str(secret_id), algorithm="sha256").digest()
    return "whsec_" + base64.b64encode(key).decode()
