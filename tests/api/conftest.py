"""What the tests of the API share: an organization with a key, a client that sends it, and a catalogue."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tenants_app.identity import Identity
from tenants_app.models import ApiKey, Organization
from tests.factories import make_key, make_organization, make_simulated_models


@pytest.fixture
def organization(db: None) -> Organization:
    return make_organization("acme")


@pytest.fixture
def catalogue(db: None) -> None:
    make_simulated_models()


@pytest.fixture
def key(organization: Organization) -> str:
    return make_key(organization)


@pytest.fixture
def identity(organization: Organization, key: str) -> Identity:
    return Identity(organization, None, "test", api_key_id=ApiKey.objects.get(prefix=key.split("_")[1]).pk)


def client_with(key: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {key}", "Accept": "application/json"})


@pytest.fixture
def api(key: str) -> Client:
    return client_with(key)


@pytest.fixture
def stranger(db: None) -> Client:
    """A client of another organization, with a key that is just as good."""
    return client_with(make_key(make_organization("strangers")))


def error_of(response: Any, status: int, code: str) -> dict[str, Any]:
    """The error object of an answer that has this status and code, and is the envelope in full."""
    body: dict[str, Any] = response.json()
    assert response.status_code == status, body
    error: dict[str, Any] = body["error"]
    assert error["code"] == code
    assert set(error) == {"type", "code", "message", "param", "retryable", "request_id"}
    assert body["detail"] == error["message"]
    assert error["request_id"] == response["X-Request-Id"]
    return error


def until_somebody_waits() -> None:
    """For a lock, in this database; called inside the transaction that holds it."""
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")  # which a transaction keeps
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits")
