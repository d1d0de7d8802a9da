"""Requests per minute, of a key and of an organization."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis
from django.test import Client

from tasks_app import hints
from tenants_app.models import ApiKey, Organization
from tests.api.conftest import client_with, error_of
from tests.factories import make_key

pytestmark = pytest.mark.django_db
HEADERS = ("RateLimit-Policy", "RateLimit", "Retry-After")


@pytest.fixture
def limited(organization: Organization) -> Organization:
    Organization.objects.update(requests_per_minute=3)
    organization.refresh_from_db()
    return organization


def codes(client: Client, times: int) -> list[int]:
    return [client.get("/tasks/").status_code for _ in range(times)]


def test_without_a_limit_nothing_is_counted_and_nothing_said(api: Client) -> None:
    connection = hints.connect()
    assert connection
    before = connection.info("stats")["total_commands_processed"]
    response = api.get("/tasks/")
    assert not any(name in response for name in HEADERS)
    assert connection.info("stats")["total_commands_processed"] - before <= 2  # of which both are ours


def test_a_request_too_many_is_refused_and_told_when_there_is_room(api: Client, limited: Organization) -> None:
    assert codes(api, 3) == [200] * 3
    refused = api.get("/tasks/")
    error = error_of(refused, 429, "rate_limited")
    assert error["retryable"] is True
    assert error["type"] == "rate_limit_error"
    assert "3 requests per minute of your organization" in error["message"]
    assert 50 <= int(refused["Retry-After"]) <= 60


def test_the_headers_say_what_is_left(api: Client, limited: Organization) -> None:
    left = []
    for _ in range(4):
        response = api.get("/tasks/")
        assert response["RateLimit-Policy"] == '"organization";q=3;w=60'
        match = re.fullmatch(r'"organization";r=(\d);t=(\d+)', response["RateLimit"])
        assert match
        assert 1 <= int(match[2]) <= 60
        left.append(int(match[1]))
    assert left == [2, 1, 0, 0]


def test_all_keys_of_an_organization_share_its_limit_and_another_has_its_own(
    api: Client, limited: Organization, stranger: Client
) -> None:
    second = client_with(make_key(limited))
    assert codes(api, 2) + codes(second, 2) == [200, 200, 200, 429]
    assert codes(stranger, 4) == [200] * 4


def test_what_a_keys_own_limit_refuses_is_not_taken_from_the_others(limited: Organization) -> None:
    greedy, other = make_key(limited), make_key(limited)
    ApiKey.objects.filter(prefix=greedy.split("_")[1]).update(requests_per_minute=1)
    assert codes(client_with(greedy), 5) == [200] + [429] * 4
    response = client_with(other).get("/tasks/")
    assert (response.status_code, response["RateLimit"].split(";")[1]) == (200, "r=1")
    both = client_with(greedy).get("/tasks/")
    assert both["RateLimit-Policy"] == '"key";q=1;w=60'


def test_a_refusal_for_a_role_or_an_address_counts_too(api: Client, limited: Organization) -> None:
    assert [api.get("/tasks/no-id").status_code for _ in range(4)] == [404] * 3 + [429]


def test_while_redis_is_away_requests_pass(api: Client, limited: Organization, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert codes(api, 5) == [200] * 5
    assert "RateLimit" not in api.get("/tasks/")


def test_a_redis_that_was_emptied_begins_anew(api: Client, limited: Organization) -> None:
    assert codes(api, 4) == [200] * 3 + [429]
    connection = hints.connect()
    assert isinstance(connection, redis.Redis)
    for name in connection.scan_iter("baton:rate*"):
        connection.delete(name)
    assert codes(api, 1) == [200]
