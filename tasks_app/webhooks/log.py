"""Reading the outbox: pages of deliveries, newest first, and one of them. Sees only what the identity may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tasks_app.models import WebhookDelivery
from tenants_app.identity import Identity


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """None means: not narrowed."""

    task_id: UUID | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`newer` and `older`: are there rows beyond this page?"""

    deliveries: Sequence[WebhookDelivery]
    newer: bool
    older: bool


def page(
    identity: Identity, narrowed: DeliveryFilter, limit: int, before: UUID | None = None, after: UUID | None = None
) -> Page:
    """The `limit` rows older than `before`, or newer than `after`."""
    wanted = {"task_id": narrowed.task_id, "state": narrowed.state}
    conditions = {name: value for name, value in wanted.items() if value is not None}
    rows = WebhookDelivery.objects.visible_to(identity).filter(**conditions).select_related("task")
    if after is not None:
        newer = list(rows.filter(pk__gt=after).order_by("id")[: limit + 1])
        return Page(newer[:limit][::-1], newer=len(newer) > limit, older=True)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    older = list(rows.order_by("-id")[: limit + 1])
    return Page(older[:limit], newer=before is not None, older=len(older) > limit)


def find(identity: Identity, delivery_id: UUID) -> WebhookDelivery | None:
    return WebhookDelivery.objects.visible_to(identity).select_related("task").filter(pk=delivery_id).first()
