"""What people see of a webhook, and the button that sends it again: on the task's page and in the admin."""

from __future__ import annotations

import pytest
from django.test import Client

from tasks_app.models import WebhookDelivery
from tasks_app.webhooks import deliveries
from tasks_app.webhooks.verdicts import Answer, verdict_on
from tenants_app.identity import Identity, of_user
from tests.factories import make_organization, make_task, make_user

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/<done>"
ADMIN = "/admin/tasks_app/webhookdelivery/"


def signed_in(staff: bool = False) -> tuple[Client, Identity]:
    user = make_user(make_organization(), staff=staff)
    client = Client()
    client.force_login(user)
    identity = of_user(user)
    assert identity is not None
    return client, identity


def refused(identity: Identity) -> WebhookDelivery:
    """A delivery that a receiver answered 404."""
    delivery = make_task("completed", identity, webhook_url=URL).webhook_delivery
    [claimed] = deliveries.claim_due(9, 9, {})
    answer = Answer(404)
    assert deliveries.settle(claimed, URL, answer, verdict_on(answer, 1))
    delivery.refresh_from_db()
    return delivery


def test_the_page_of_a_task_tells_what_became_of_its_webhook_and_sends_it_again():
    client, identity = signed_in()
    delivery = refused(identity)
    page = client.get(f"/ui/tasks/{delivery.task_id}/").content.decode()
    assert "https://hooks.example.com/&lt;done&gt;" in page
    assert "The receiver answered 404." in page
    again = client.post(f"/ui/tasks/{delivery.task_id}/webhook/resend/", follow=True).content.decode()
    assert "The webhook is sent again." in again
    assert "Next try" in again
    delivery.refresh_from_db()
    assert delivery.state == "pending"


def test_the_page_stays_live_until_the_first_try_has_ended():
    client, identity = signed_in()
    task = make_task("completed", identity, webhook_url=URL)
    page, fragment = f"/ui/tasks/{task.pk}/", f"/ui/_tasks/{task.pk}/"
    assert "data-live" in client.get(page).content.decode()
    tag = client.get(fragment)["ETag"]
    assert client.get(fragment, headers={"If-None-Match": tag}).status_code == 304
    WebhookDelivery.objects.update(state="delivered", ended_at=task.completed_at, tries=1)
    news = client.get(fragment, headers={"If-None-Match": tag})
    assert news.status_code == 200
    assert "data-live" not in news.content.decode()


def test_a_task_without_a_webhook_shows_none_and_sends_none():
    client, identity = signed_in()
    task = make_task("completed", identity)
    assert "Webhook" not in client.get(f"/ui/tasks/{task.pk}/").content.decode()
    said = client.post(f"/ui/tasks/{task.pk}/webhook/resend/", follow=True).content.decode()
    assert "There is nothing to send." in said


def test_nobody_sends_the_webhook_of_another_organization():
    delivery = refused(signed_in()[1])
    stranger, _ = signed_in()
    assert stranger.post(f"/ui/tasks/{delivery.task_id}/webhook/resend/").status_code == 404
    delivery.refresh_from_db()
    assert delivery.state == "failed"


def test_the_admin_lists_filters_and_sends_again_but_changes_nothing():
    admin, identity = signed_in(staff=True)
    delivery = refused(identity)
    assert "hooks.example.com" in admin.get(ADMIN, {"state__exact": "failed"}).content.decode()
    assert str(delivery.pk) in admin.get(ADMIN, {"q": str(delivery.task_id)}).content.decode()
    page = admin.get(f"{ADMIN}{delivery.pk}/change/")
    assert "The receiver answered 404." in page.content.decode()
    assert admin.post(f"{ADMIN}{delivery.pk}/change/", {"state": "delivered"}).status_code == 403
    assert "404" in admin.get(f"/admin/tasks_app/task/{delivery.task_id}/change/").content.decode()
    said = admin.post(ADMIN, {"action": "resend_selected", "_selected_action": [str(delivery.pk)]}, follow=True)
    assert f"{delivery.pk}: is due now." in said.content.decode()
    delivery.refresh_from_db()
    assert delivery.state == "pending"
