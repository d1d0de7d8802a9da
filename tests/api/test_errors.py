"""One envelope for every error, whoever raises it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, override_settings

from tasks_app import selectors
from tenants_app.identity import Identity
from tenants_app.models import ApiKey, Organization
from tests.api.conftest import client_with, error_of
from tests.factories import make_task, make_user

pytestmark = pytest.mark.django_db
ID = "01a20b00-7401-731c-b60b-aa1b0cd862d6"
PROTECTED = [
    ("get", "/tasks/"), ("post", "/tasks/"), ("get", f"/tasks/{ID}"), ("delete", f"/tasks/{ID}"),
    ("patch", f"/tasks/{ID}/cancel"), ("post", f"/tasks/{ID}/cancel"), ("post", f"/tasks/{ID}/retry"),
    ("get", f"/tasks/{ID}/attempts"), ("get", "/tasks/stats/metrics"), ("get", "/tasks/workers/health"),
    ("get", "/tasks/workers/stats"), ("get", f"/artifacts/{ID}"), ("post", "/artifacts/"), ("get", "/models/"),
    ("get", "/workers/"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path"), PROTECTED)
def test_nothing_is_told_without_a_key(client: Client, verb: str, path: str) -> None:
    response = getattr(client, verb)(path)
    error = error_of(response, 401, "unauthenticated")
    assert error["type"] == "authentication_error"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer baton_x", "Basic YTpi", "Token abc", "Bearer \xe9"])
def test_a_key_that_is_none_is_401(db: None, header: str) -> None:
    error_of(Client(headers={"Authorization": header}).get("/tasks/"), 401, "unauthenticated")


def test_a_revoked_key_is_401(key: str) -> None:
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    error_of(client_with(key).get("/tasks/"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("verb", "path"),
    [("put", "/tasks/"), ("patch", "/tasks/"), ("put", f"/tasks/{ID}"), ("get", f"/tasks/{ID}/cancel"),
     ("delete", "/models/"), ("post", "/workers/"), ("post", "/healthz")],
)  # fmt: skip
def test_a_verb_that_is_not_offered_is_405(api: Client, verb: str, path: str) -> None:
    response = getattr(api, verb)(path)
    error_of(response, 405, "method_not_allowed")
    assert verb.upper() not in response["Allow"]


def test_an_answer_that_nobody_can_give_is_406(api: Client) -> None:
    error_of(api.get("/tasks/", headers={"Accept": "text/csv"}), 406, "not_acceptable")


@pytest.mark.parametrize("path", ["/tasks/a/b/c", "/artifacts/", "/models/x", "/workers/x"])
def test_an_address_of_the_api_that_does_not_exist_is_an_error_object(api: Client, path: str) -> None:
    response = api.get(path)
    assert response.status_code in (404, 405)
    assert set(response.json()) == {"error", "detail"}


def test_a_session_may_read_and_writes_only_with_its_csrf_token(organization: Organization) -> None:
    task = make_task(identity=Identity(organization, None, "x"))
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user(organization))
    assert browser.get(f"/tasks/{task.pk}").status_code == 200
    error = error_of(browser.patch(f"/tasks/{task.pk}/cancel"), 403, "permission_denied")
    assert error["type"] == "permission_error"
    token = "a" * 32
    browser.cookies["baton_csrf"] = token
    assert browser.patch(f"/tasks/{task.pk}/cancel", headers={"X-CSRFToken": token}).status_code == 200


def test_a_key_needs_no_csrf_token(key: str, identity: Identity) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {key}"})
    assert client.patch(f"/tasks/{make_task(identity=identity).pk}/cancel").status_code == 200


@pytest.mark.parametrize("away", [OperationalError("connection refused"), InterfaceError("closed")])
def test_a_database_that_is_away_is_503_and_worth_another_try(api: Client, away: Exception) -> None:
    with patch.object(selectors, "find_task", side_effect=away):
        response = api.get(f"/tasks/{ID}")
    error = error_of(response, 503, "database_unavailable")
    assert (error["type"], error["retryable"]) == ("server_error", True)
    assert int(response["Retry-After"]) >= 1


def test_a_defect_is_500_and_tells_nothing_but_the_request_id(api: Client) -> None:
    api.raise_request_exception = False
    with patch.object(selectors, "find_task", side_effect=RuntimeError("secret")):
        response: Any = api.get(f"/tasks/{ID}", headers={"X-Request-Id": "abc"})
    error = error_of(response, 500, "internal_error")
    assert error["request_id"] == "abc"
    assert b"secret" not in response.content


@override_settings(ALLOWED_HOSTS=["baton.example"])
def test_a_foreign_host_name_is_400_in_the_envelope(api: Client) -> None:
    assert api.get("/tasks/", headers={"Host": "baton.example"}).status_code == 200
    error_of(api.get("/tasks/", headers={"Host": "evil.example"}), 400, "invalid_input")
