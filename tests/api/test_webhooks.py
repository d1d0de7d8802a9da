"""/webhooks/ and the webhook_url of a submit."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tasks_app.models import WebhookDelivery
from tasks_app.webhooks import signing
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import make_task

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/done"


def deliver(identity: Identity, status: str = "completed") -> WebhookDelivery:
    return WebhookDelivery.objects.get(task=make_task(status, identity, webhook_url=URL))


def failed(identity: Identity) -> WebhookDelivery:
    delivery = deliver(identity)
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    rows.update(state="failed", ended_at=delivery.created_at, tries=9, last_status=500, last_error="It answered 500.")
    delivery.refresh_from_db()
    return delivery


def test_a_delivery_tells_what_became_of_it(api: Client, identity: Identity) -> None:
    delivery = failed(identity)
    [row] = api.get("/webhooks/").json()["results"]
    created = delivery.created_at.isoformat().replace("+00:00", "Z")
    assert row == {
        "delivery_id": str(delivery.pk), "task_id": str(delivery.task_id), "url": URL, "state": "failed", "tries": 9,
        "last_status": 500, "last_error": "It answered 500.", "next_try_at": None, "created_at": created,
        "ended_at": created,
    }  # fmt: skip


def test_a_waiting_delivery_tells_when_it_is_tried(api: Client, identity: Identity) -> None:
    deliver(identity)
    [row] = api.get("/webhooks").json()["results"]
    assert (row["state"], row["ended_at"], row["last_error"]) == ("pending", None, None)
    assert row["next_try_at"] == row["created_at"]


def test_pages_lead_from_the_newest_to_the_oldest_and_back(api: Client, identity: Identity) -> None:
    ids = [str(deliver(identity).pk) for _ in range(5)][::-1]
    first = api.get("/webhooks/?limit=2").json()
    second = api.get(first["next"]).json()
    third = api.get(second["next"]).json()
    seen = [row["delivery_id"] for page in (first, second, third) for row in page["results"]]
    assert seen == ids
    assert (first["previous"], third["next"]) == (None, None)
    assert api.get(second["previous"]).json()["results"] == first["results"]


def test_the_list_is_narrowed_by_task_and_state(api: Client, identity: Identity) -> None:
    waiting, given_up = deliver(identity), failed(identity)

    def ids(query: str) -> list[str]:
        return [row["delivery_id"] for row in api.get(f"/webhooks/?{query}").json()["results"]]

    assert ids(f"task_id={waiting.task_id}") == [str(waiting.pk)]
    assert ids("state=failed") == [str(given_up.pk)]
    assert ids(f"state=delivered&task_id={waiting.task_id}") == []


@pytest.mark.parametrize(
    ("query", "param"), [("state=lost", "state"), ("task_id=7", "task_id"), ("limit=0", "limit"), ("x=1", "x")]
)
def test_a_query_that_makes_no_sense_is_refused(api: Client, query: str, param: str) -> None:
    assert error_of(api.get(f"/webhooks/?{query}"), 400, "invalid_input")["param"] == param


def test_a_failed_delivery_is_sent_again_with_the_same_id(api: Client, identity: Identity) -> None:
    delivery = failed(identity)
    response = api.post(f"/webhooks/{delivery.pk}/resend")
    row = response.json()
    assert (response.status_code, row["delivery_id"], row["state"], row["ended_at"]) == (
        202, str(delivery.pk), "pending", None,
    )  # fmt: skip
    assert row["next_try_at"]


@pytest.mark.parametrize("delivery_id", ["7", "01a20cf1-d8e2-76f9-acc8-467538ff3016"])
def test_a_delivery_that_does_not_exist_cannot_be_sent(api: Client, delivery_id: str) -> None:
    error_of(api.post(f"/webhooks/{delivery_id}/resend"), 404, "not_found")


def test_another_organization_sees_and_sends_nothing_of_it(stranger: Client, identity: Identity) -> None:
    delivery = failed(identity)
    assert stranger.get("/webhooks/").json()["results"] == []
    error_of(stranger.post(f"/webhooks/{delivery.pk}/resend"), 404, "not_found")
    delivery.refresh_from_db()
    assert delivery.state == "failed"


def test_nobody_gets_in_without_a_key(client: Client) -> None:
    for path in ("/webhooks/", "/webhooks/secret"):
        error_of(client.get(path, headers={"Accept": "application/json"}), 401, "unauthenticated")


# ---------------------------------------------------------------- the secret


def test_the_secret_stays_the_same_until_it_is_rotated(api: Client, organization: Organization) -> None:
    response = api.get("/webhooks/secret")
    [secret] = response.json()["results"]
    assert response["Cache-Control"] == "no-store"
    assert secret["secret"].startswith("whsec_")
    assert secret["expires_at"] is None
    assert api.get("/webhooks/secret/").json()["results"] == [secret]
    assert signing.secrets_of(organization.pk)[0].text == secret["secret"]


def test_after_a_rotation_both_are_told(api: Client) -> None:
    [old] = api.get("/webhooks/secret").json()["results"]
    response = api.post("/webhooks/secret")
    new, kept = response.json()["results"]
    assert response.status_code == 201
    assert (kept["secret"], new["expires_at"]) == (old["secret"], None)
    assert kept["expires_at"]
    assert api.get("/webhooks/secret").json()["results"] == [new, kept]


def test_organizations_have_secrets_of_their_own(api: Client, stranger: Client) -> None:
    assert api.get("/webhooks/secret").json() != stranger.get("/webhooks/secret").json()


# ---------------------------------------------------------------- the address


def submit(api: Client, url: Any) -> Any:
    body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "Hi"}, "webhook_url": url}
    return api.post("/tasks/", body, content_type="application/json")


@pytest.mark.usefixtures("catalogue")
def test_a_public_address_is_taken(api: Client) -> None:
    assert submit(api, URL).json()["webhook_url"] == URL


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("javascript:alert(1)", "webhook_url must be a URL that starts with http or https"),
        ("file:///etc/passwd", "webhook_url must be a URL that starts with http or https"),
        ("//example.com", "webhook_url must be a URL that starts with http or https"),
        ("http://127.0.0.1/x", "webhook_url must not lead to a private address"),
        ("http://[::ffff:10.0.0.1]/x", "webhook_url must not lead to a private address"),
        ("http://2130706433/", "webhook_url must not lead to a private address"),
        ("http://localhost:8002/admin/", "webhook_url must not lead to a private address"),
        ("https://user:secret@example.com/", "webhook_url must not hold a user name or password"),
        ("http://[::1", "webhook_url must be a URL that starts with http or https"),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_an_address_that_nothing_may_be_sent_to_is_refused_at_once(api: Client, url: str, message: str) -> None:
    error = error_of(submit(api, url), 400, "invalid_input")
    assert (error["message"], error["param"]) == (message, "webhook_url")


@pytest.mark.usefixtures("catalogue")
def test_an_intranet_may_allow_its_own_hosts(api: Client, settings: Any) -> None:
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = True
    assert submit(api, "http://10.0.0.1:9/hook").status_code == 201
