"""/healthz and /readyz."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as project
from django.test import Client

from orchestrator import health
from orchestrator.health import Probe, Verdict
from tasks_app import hints
from tasks_app.scheduling import leader
from tests.factories import make_worker

DEPENDENCIES = ["database", "migrations", "broker", "scheduler", "worker"]


def test_the_process_answers_without_asking_anybody(client: Client) -> None:
    """No database fixture: a query would fail the test."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(hints.address(project.CELERY_BROKER_URL)) as client:
        yield client


@pytest.mark.django_db(transaction=True)
def test_everything_that_is_needed_is_named_and_ready(client: Client) -> None:
    make_worker()
    leadership = leader.Leadership()
    assert leadership.held()
    response = client.get("/readyz")
    leadership.give_up()
    shown = response.json()
    assert list(shown) == DEPENDENCIES
    assert response.status_code == 200, shown
    assert all(verdict["ok"] for verdict in shown.values())


@pytest.mark.django_db(transaction=True)
def test_what_is_missing_is_503_and_named(client: Client) -> None:
    response = client.get("/readyz")
    shown = response.json()
    assert response.status_code == 503
    assert {name for name, verdict in shown.items() if not verdict["ok"]} == {"scheduler", "worker"}
    assert shown["worker"]["detail"] == "0 online"


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_evicts_is_not_ready(client: Client, broker: redis.Redis) -> None:
    broker.config_set("maxmemory-policy", "allkeys-lru")
    try:
        shown = client.get("/readyz").json()
    finally:
        broker.config_set("maxmemory-policy", "noeviction")
    assert shown["broker"] == {"ok": False, "detail": "maxmemory-policy is allkeys-lru, it must be noeviction"}


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest@127.0.0.1:1//"])
def test_a_broker_that_is_away_is_not_ready(settings: Any, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    verdict = health.ask_broker()["broker"]
    assert not verdict.ok
    assert verdict.detail


def test_a_database_that_is_away_is_told_for_all_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError, connection

    def refuse() -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    verdicts = health.ask_database()
    assert set(verdicts.values()) == {Verdict(False, "connection refused")}


def test_whatever_does_not_answer_holds_nobody_up() -> None:
    frozen = threading.Event()
    asked = []

    def ask() -> dict[str, Verdict]:
        asked.append(1)
        frozen.wait(30)
        return {"x": Verdict(True, "answers")}

    probe = Probe(("x",), ask)
    for _ in range(3):  # the first question is still open: nobody asks again
        probe.begin()
        assert probe.verdicts(time.monotonic() + 0.05) == {"x": Verdict(False, "no answer within 2 s")}
    assert len(asked) == 1
    frozen.set()
    assert probe.verdicts(time.monotonic() + 10) == {"x": Verdict(True, "answers")}


def test_a_question_that_breaks_is_an_answer_too() -> None:
    def ask() -> dict[str, Verdict]:
        raise RuntimeError("odd")

    probe = Probe(("x",), ask)
    probe.begin()
    assert probe.verdicts(time.monotonic() + 10) == {"x": Verdict(False, "odd")}
