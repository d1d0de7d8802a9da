"""Stopping a queue, a model or an organization for now, and letting it go on. Called by the API and the admin."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db.models import Q

from tasks_app import hints
from tasks_app.models import Pause, PauseKind
from tenants_app.identity import Identity
from tenants_app.models import Organization
from workers_app.models import Model, TaskType

log = structlog.get_logger(__name__)


class NothingToPause(Exception):
    """There is no queue, model or organization of that name."""


def pause(kind: PauseKind, name: str, by: str, reason: str = "", until: datetime | None = None) -> Pause:
    """What runs already goes on. Pausing again changes who, why and until when. Raises NothingToPause."""
    refuse_unknown(kind, name)
    row, _ = Pause.objects.update_or_create(kind=kind, name=name, defaults={"by": by, "reason": reason, "until": until})
    log.info("paused", kind=kind, name=name, by=by, reason=reason, until=until and until.isoformat())
    return row


def resume(kind: PauseKind, name: str, by: str) -> bool:
    """Was it paused? Raises NothingToPause."""
    refuse_unknown(kind, name)
    deleted, _ = Pause.objects.filter(kind=kind, name=name).delete()
    if deleted:
        log.info("resumed", kind=kind, name=name, by=by)
        hints.wake_scheduler()
    return bool(deleted)


def visible_to(identity: Identity) -> list[Pause]:
    """Those in force. Which other organizations there are, and why one is paused, is for operators."""
    pauses = Pause.objects.in_force().order_by("kind", "name")
    if not (identity.sees_all or identity.may_operate):
        pauses = pauses.filter(~Q(kind=PauseKind.ORGANIZATION) | Q(name=identity.organization.slug))
    return list(pauses)


def refuse_unknown(kind: PauseKind, name: str) -> None:
    """Raises NothingToPause."""
    known = {
        PauseKind.QUEUE: lambda: name in TaskType.values,
        PauseKind.MODEL: lambda: Model.objects.filter(name=name).exists(),
        PauseKind.ORGANIZATION: lambda: Organization.objects.filter(slug=name).exists(),
    }
    if not known[kind]():
        raise NothingToPause(f"There is no {kind.label.lower()} {name}.")
