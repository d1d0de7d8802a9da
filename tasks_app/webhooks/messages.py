"""What is sent for a delivery: the final event with the whole task, for each try rendered from the rows and signed."""

from __future__ import annotations

from django.utils import timezone

from tasks_app import selectors
from tasks_app.api import render
from tasks_app.api.renderers import to_json
from tasks_app.models import TaskEvent
from tasks_app.webhooks import signing
from tasks_app.webhooks.deliveries import Claimed
from tasks_app.webhooks.posting import Message
from tenants_app.identity import Identity
from tenants_app.models import Organization


def of(claimed: Claimed) -> Message | None:
    """None if the task is there no more."""
    owner = Identity(Organization(pk=claimed.organization_id), None, "webhook")
    shown = selectors.find_task(owner, claimed.task_id)
    if shown is None or shown.task.webhook_url is None:
        return None
    event = TaskEvent.objects.get(task=shown.task, seq=shown.task.last_seq)  # the final event is the last one
    told = {"seq": event.seq, "type": event.type, "task_id": shown.task.pk, "at": event.at, "data": render.task(shown)}
    body = to_json(told)
    headers = signing.headers(claimed.id, body, signing.secrets_of(claimed.organization_id), timezone.now())
    return Message(shown.task.webhook_url, headers, body)
