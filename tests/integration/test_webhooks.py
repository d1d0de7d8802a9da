"""The outbox of webhooks on a real PostgreSQL: whatever ends a task promises its webhook, and a try has one owner."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks import Webhook

from tasks_app import events, services, transitions
from tasks_app.models import GoneEndpoint, Task, WebhookDelivery, WebhookSecret
from tasks_app.outcomes import Cancelled, Completed, Returned
from tasks_app.states import ACTIVE, FINAL, CancelMode
from tasks_app.webhooks import deliveries, messages, retention, signing
from tasks_app.webhooks.verdicts import Answer, verdict_on
from tests.factories import end, make_identity, make_organization, make_task, start

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/done"
DONE = Completed({"text": "done", "finish_reason": "stop"})


def claim(room=10, per_host=10, under_way=None):
    return deliveries.claim_due(room, per_host, under_way or {})


def answered(claimed, answer, url=URL):
    return deliveries.settle(claimed, url, answer, verdict_on(answer, claimed.tries_of_round))


def make_due(count=1, url=URL, **values):
    return [make_task("completed", webhook_url=url, **values).webhook_delivery for _ in range(count)]


def come_due():
    WebhookDelivery.objects.update(due_at=F("due_at") - timedelta(days=1))


# ---------------------------------------------------------------- the promise


@pytest.mark.parametrize("status", sorted(FINAL))
def test_whatever_ends_a_task_promises_its_webhook(status):
    task = make_task(status, webhook_url="https://Hooks.Example.com:8443/done?x=1")
    delivery = WebhookDelivery.objects.get()
    assert (delivery.task, delivery.organization, delivery.state) == (task, task.organization, "pending")
    assert delivery.host == "hooks.example.com:8443"


def test_a_stopped_and_a_lost_task_promise_theirs_too():
    stopped, lost = make_task(webhook_url=URL), make_task(webhook_url=URL, max_attempts=1)
    claimed = start(stopped)
    transitions.request_cancel([stopped.pk], "tester")
    assert end(claimed, Cancelled(CancelMode.COOPERATIVE)) == "cancelled"
    start(lost)
    Task.objects.filter(pk=lost.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    transitions.rescue()
    assert set(WebhookDelivery.objects.values_list("task", flat=True)) == {stopped.pk, lost.pk}


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_nothing_is_promised_before_the_end(status):
    make_task(status, webhook_url=URL)
    assert not WebhookDelivery.objects.exists()


def test_a_task_without_an_address_costs_no_row_and_no_statement():
    with_one, without = (start(make_task(webhook_url=url)) for url in (URL, None))
    counts = []
    for claimed in (with_one, without):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            end(claimed, DONE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert WebhookDelivery.objects.get().task_id == with_one.task_id


def test_an_end_of_which_nobody_says_whether_it_has_a_webhook_is_refused():
    task = make_task(webhook_url=URL)
    with pytest.raises(AssertionError):
        events.append([(task.pk, 2, "task.completed", {})])


def test_a_task_that_goes_back_to_the_queue_promises_nothing_yet():
    claimed = start(make_task(webhook_url=URL))
    assert end(claimed, Returned("stopping")) == "pending"
    assert not WebhookDelivery.objects.exists()


def test_the_loser_of_a_finish_promises_nothing():
    claimed = start(make_task(webhook_url=URL))
    assert end(claimed, DONE) == "completed"
    assert end(claimed, DONE) == "completed"  # sent again, because its reply was lost
    assert services.cancel(Task.objects.get(pk=claimed.task_id), "tester") == "already_finished"
    assert WebhookDelivery.objects.count() == 1


def test_an_address_with_an_odd_host_does_not_stand_in_the_way_of_a_finish():
    """A row of an earlier version, or written by hand."""
    for url in ("nonsense", "http://" + "İ" * 400):
        task = make_task()
        Task.objects.filter(pk=task.pk).update(webhook_url=url)
        assert end(start(task), DONE) == "completed"
    assert WebhookDelivery.objects.count() == 2


def test_a_deleted_task_takes_its_delivery_along():
    [delivery] = make_due()
    [claimed] = claim()
    services.delete(delivery.task, "tester")
    assert messages.of(claimed) is None
    assert not answered(claimed, Answer(200))


# ---------------------------------------------------------------- claims


def test_a_claimed_delivery_is_nobody_elses_until_the_claim_runs_out():
    make_due()
    [claimed] = claim()
    assert claim() == []
    come_due()
    [again] = claim()
    assert (again.id, again.tries) == (claimed.id, 2)


def test_what_a_sender_notes_of_a_claim_that_ran_out_changes_nothing():
    make_due()
    [slow] = claim()
    come_due()
    [current] = claim()
    assert not answered(slow, Answer(500))
    assert answered(current, Answer(200))
    assert not answered(slow, Answer(500))
    assert WebhookDelivery.objects.get().state == "delivered"


def test_a_host_gets_no_more_than_its_share_of_the_room_and_the_others_do_not_wait():
    make_due(5, "https://slow.example/x")
    make_due(2, "https://quick.example/x")
    first = claim(room=4, per_host=2)
    assert Counter(each.host for each in first) == {"slow.example": 2, "quick.example": 2}
    make_due(1, "https://quick.example/x")
    assert [each.host for each in claim(room=9, per_host=2, under_way={"slow.example": 2})] == ["quick.example"]
    assert [each.host for each in claim(room=9, per_host=2, under_way={"slow.example": 1})] == ["slow.example"]


def test_the_oldest_comes_first():
    rows = make_due(3)
    assert [claim(room=1)[0].id for _ in rows] == [row.pk for row in rows]


# ---------------------------------------------------------------- what follows from an answer


def test_a_failure_that_may_pass_is_due_again_later():
    [delivery] = make_due()
    before = timezone.now()
    answered(claim()[0], Answer(500))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status, delivery.tries) == ("pending", 500, 1)
    assert delivery.last_error == "The receiver answered 500."
    assert timedelta(seconds=4) < delivery.due_at - before < timedelta(seconds=10)
    assert claim() == []


def test_after_nine_tries_it_has_failed_and_a_resend_begins_anew_with_the_same_id():
    [delivery] = make_due()
    for _ in range(9):
        [claimed] = claim()
        assert claimed.id == delivery.pk
        answered(claimed, Answer(problem="no route"))
        come_due()
    assert claim() == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.last_error) == ("failed", 9, "no route")
    deliveries.resend(delivery)
    [again] = claim()
    assert (again.id, again.tries, again.tries_of_round) == (delivery.pk, 10, 1)
    answered(again, Answer(500))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.ended_at) == ("pending", None)


def test_410_disables_the_endpoint_of_that_organization_until_a_resend():
    identity = make_identity()
    [delivery] = make_due(identity=identity)
    answered(claim()[0], Answer(410))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status) == ("failed", 410)
    assert deliveries.is_gone(identity.organization.pk, URL)
    assert not deliveries.is_gone(make_organization().pk, URL)
    assert not deliveries.is_gone(identity.organization.pk, URL + "/other")
    deliveries.resend(delivery)
    assert not GoneEndpoint.objects.exists()


# ---------------------------------------------------------------- messages and secrets


def test_a_message_is_the_final_event_with_the_whole_task_and_is_signed_with_every_valid_secret():
    identity = make_identity()
    [delivery] = make_due(identity=identity, metadata={"order": "17"})
    [old] = signing.secrets_of(identity.organization.pk)
    new, kept = signing.rotate(identity.organization.pk)
    assert kept.text == old.text
    [claimed] = claim()
    message = messages.of(claimed)
    assert message is not None
    told = json.loads(message.body)
    assert set(told) == {"seq", "type", "task_id", "at", "data"}
    assert (told["type"], told["task_id"], told["seq"]) == ("task.completed", str(delivery.task_id), 4)
    assert (told["data"]["status"], told["data"]["metadata"]) == ("completed", {"order": "17"})
    assert told["at"].endswith("Z")
    assert message.headers["webhook-id"] == str(delivery.pk)
    for secret in (old, new):
        Webhook(secret.text).verify(message.body, dict(message.headers))


def test_a_rotation_leaves_two_valid_secrets_and_no_older_one():
    organization = make_organization()
    [first] = signing.secrets_of(organization.pk)
    second, _ = signing.rotate(organization.pk)
    third, before = signing.rotate(organization.pk)
    assert (before.text, before.expires_at is not None) == (second.text, True)
    assert third.expires_at is None
    assert len({first.text, second.text, third.text}) == 3
    WebhookSecret.objects.exclude(expires_at=None).update(expires_at=timezone.now())
    assert [each.text for each in signing.secrets_of(organization.pk)] == [third.text]
    assert signing.secrets_of(make_organization().pk)[0].text != third.text


# ---------------------------------------------------------------- retention


def test_what_was_delivered_a_month_ago_is_forgotten_and_nothing_else():
    old, young, failed, waiting = make_due(4)
    month = timezone.now() - timedelta(days=31)
    WebhookDelivery.objects.filter(pk=old.pk).update(state="delivered", ended_at=month)
    WebhookDelivery.objects.filter(pk=young.pk).update(state="delivered", ended_at=timezone.now())
    WebhookDelivery.objects.filter(pk=failed.pk).update(state="failed", ended_at=month)
    WebhookDelivery.objects.filter(pk=waiting.pk).update(due_at=month)
    assert retention.remove_old() == 1
    assert set(WebhookDelivery.objects.values_list("pk", flat=True)) == {young.pk, failed.pk, waiting.pk}
    assert Task.objects.filter(pk=old.task_id).exists()


def test_a_delivery_of_an_unknown_state_is_refused_by_the_database():
    [delivery] = make_due()
    for values in ({"state": "lost"}, {"state": "failed"}, {"ended_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            WebhookDelivery.objects.filter(pk=delivery.pk).update(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        WebhookDelivery.objects.create(
            id=uuid4(), task=delivery.task, organization=delivery.organization, host="second.example"
        )
