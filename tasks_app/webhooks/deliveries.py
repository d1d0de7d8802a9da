"""The outbox: claiming what is due, noting what became of it, sending it again by hand. Written nowhere else, but that
`events.append` puts rows in.

A claim is only a due time in the near future, so that of a sender that died runs out by itself. The number of the try
is its fence: what a sender notes of an earlier one changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from tasks_app import hints
from tasks_app.models import DeliveryState, GoneEndpoint, WebhookDelivery
from tasks_app.sql import as_json, in_one_commit, returning
from tasks_app.webhooks.verdicts import Answer, Verdict

LOOKED_AT = 500  # due rows that a claim chooses from
CLAIM_FACTOR = 3  # time-outs that a claim lasts: one for the exchange, the rest for the resolver and for noting it

# statement_timestamp() is what Django writes for Now().
CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id, host, due_at FROM tasks_app_webhookdelivery
     WHERE state = 'pending' AND due_at <= statement_timestamp() AND host <> ALL(%s) ORDER BY due_at, id LIMIT %s),
ranked AS (
    SELECT id, due_at, row_number() OVER (PARTITION BY host ORDER BY due_at, id)
                       + COALESCE((%s::jsonb ->> host)::int, 0) AS place FROM due),
picked AS MATERIALIZED (SELECT id FROM ranked WHERE place <= %s ORDER BY due_at, id LIMIT %s),
locked AS MATERIALIZED (
    SELECT d.id FROM tasks_app_webhookdelivery d JOIN picked ON picked.id = d.id
     WHERE d.state = 'pending' AND d.due_at <= statement_timestamp() FOR UPDATE OF d SKIP LOCKED)
UPDATE tasks_app_webhookdelivery d
   SET tries = d.tries + 1, due_at = statement_timestamp() + make_interval(secs => %s)
  FROM locked WHERE d.id = locked.id
RETURNING d.id, d.task_id, d.organization_id, d.host, d.tries, d.tries_before
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One try of a delivery that is ours to make."""

    id: UUID
    task_id: UUID
    organization_id: UUID
    host: str
    tries: int
    tries_before: int

    @property
    def tries_of_round(self) -> int:
        """Since it was last sent again by hand: what the schedule of retries counts."""
        return self.tries - self.tries_before


@in_one_commit
def claim_due(room: int, per_host: int, under_way: Mapping[str, int]) -> list[Claimed]:
    """At most `room`, and of each host no more than `per_host` together with those that are `under_way`."""
    full = [host for host, count in under_way.items() if count >= per_host]
    seconds = CLAIM_FACTOR * settings.WEBHOOK_TIMEOUT_SECONDS
    rows = returning(CLAIM, [full, LOOKED_AT, as_json(dict(under_way)), per_host, room, seconds])
    return [Claimed(*row) for row in rows]


@in_one_commit
def settle(claimed: Claimed, url: str, answer: Answer, verdict: Verdict) -> bool:
    """Whether this try was still the current one."""
    pending = verdict.state == DeliveryState.PENDING
    noted = WebhookDelivery.objects.filter(pk=claimed.id, tries=claimed.tries, state=DeliveryState.PENDING).update(
        state=verdict.state,
        due_at=Now() + timedelta(seconds=verdict.delay),
        ended_at=None if pending else Now(),
        last_status=answer.status,
        last_error=verdict.error[:300],
    )
    if noted and verdict.gone:
        GoneEndpoint.objects.create(organization_id=claimed.organization_id, url=url)
    return bool(noted)


def is_gone(organization_id: UUID, url: str) -> bool:
    return GoneEndpoint.objects.filter(organization_id=organization_id, url=url).exists()


@in_one_commit
def resend(delivery: WebhookDelivery) -> None:
    """Due now, with all its retries before it. An address that was given up because it answered 410 is used again."""
    GoneEndpoint.objects.filter(organization_id=delivery.organization_id, url=delivery.task.webhook_url or "").delete()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.PENDING, due_at=Now(), ended_at=None, tries_before=F("tries")
    )
    delivery.refresh_from_db()
    hints.wake_webhooks()
