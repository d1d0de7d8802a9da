"""Who is asking, and the row they mean: another organization's row is the same 404 as one that does not exist."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from rest_framework.request import Request

from tasks_app import batches, selectors
from tasks_app.api.errors import NotFound
from tasks_app.models import Artifact, Batch, WebhookDelivery
from tasks_app.selectors import Shown
from tasks_app.webhooks import log
from tenants_app.identity import Identity
from tenants_app.models import ApiKey
from tenants_app.roles import Scope


def identity_of(request: Request) -> Identity:
    return cast(Identity, request.user)


def operator_of(request: Request) -> Identity:
    """Raises 403 for who may not steer what all organizations share."""
    identity = identity_of(request)
    identity.require(Scope.OPERATE)
    return identity


def task_or_404(request: Request, task_id: str) -> Shown:
    shown = selectors.find_task(identity_of(request), _uuid(task_id, "task"))
    if shown is None:
        raise NotFound(f"There is no task {task_id}.")
    return shown


def batch_or_404(request: Request, batch_id: str) -> Batch:
    batch = batches.find(identity_of(request), _uuid(batch_id, "batch"))
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    return batch


def artifact_or_404(request: Request, artifact_id: str) -> Artifact:
    artifact = selectors.find_artifact(identity_of(request), _uuid(artifact_id, "artifact"))
    if artifact is None:
        raise NotFound(f"There is no artifact {artifact_id}.")
    return artifact


def delivery_or_404(request: Request, delivery_id: str) -> WebhookDelivery:
    delivery = log.find(identity_of(request), _uuid(delivery_id, "delivery"))
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return delivery


def key_or_404(request: Request, key_id: str) -> ApiKey:
    visible = ApiKey.objects.visible_to(identity_of(request)).select_related("organization", "user")
    key = visible.filter(pk=_uuid(key_id, "API key")).first()
    if key is None:
        raise NotFound(f"There is no API key {key_id}.")
    return key


def _uuid(text: str, kind: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no {kind} {text}.") from None
