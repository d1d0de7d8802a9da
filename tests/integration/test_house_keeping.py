"""What the scheduler does beside placing, and how often."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from tasks_app import idempotency, transitions
from tasks_app.models import IdempotencyKey, Task
from tasks_app.scheduling import books
from tasks_app.scheduling.confidence import Confidence
from tasks_app.scheduling.loop import Scheduler
from tenants_app.ids import uuid7
from tests.factories import make_identity, make_task, start

pytestmark = pytest.mark.django_db


def make_old_key(name: str) -> None:
    idempotency.take(idempotency.key_for(make_identity(), "tasks", name, {}), uuid7())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_app_idempotencykey SET created_at = now() - interval '25 hours'")


def keep_house(scheduler: Scheduler) -> None:
    scheduler._kept_house_at = 0.0  # as if a round's time had passed
    scheduler._keep_house(books.load())


def test_old_idempotency_keys_are_removed_at_most_once_a_minute() -> None:
    scheduler = Scheduler()
    make_old_key("first")
    keep_house(scheduler)
    assert not IdempotencyKey.objects.exists()
    make_old_key("second")
    keep_house(scheduler)
    assert IdempotencyKey.objects.get().key == "second"
    scheduler._cleaned_up_at -= 60.0
    keep_house(scheduler)
    assert not IdempotencyKey.objects.exists()


# ---------------------------------------------------------------- a database that was silent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The hand of the clock that confidence reads."""
    hand = [1000.0]
    monkeypatch.setattr("tasks_app.scheduling.confidence.time", SimpleNamespace(monotonic=lambda: hand[0]))
    return hand


def pass_time(clock: list[float], confidence: Confidence, seconds: float) -> None:
    """In rounds of a second, each with an answer of the database."""
    for _ in range(int(seconds)):
        clock[0] += 1.0
        confidence.note()


@pytest.fixture
def settings_of_a_lease(settings: object) -> None:
    settings.LEASE_SECONDS, settings.SCHEDULER_INTERVAL = 10.0, 1.0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("settings_of_a_lease")
def test_confidence_takes_a_whole_lease_and_a_long_silence_ends_it(clock: list[float]) -> None:
    confidence = Confidence()
    confidence.note()
    pass_time(clock, confidence, 10)
    assert not confidence.is_whole()
    pass_time(clock, confidence, 1)
    assert confidence.is_whole()
    clock[0] += 5.0  # leases outlive that
    assert confidence.is_whole()
    clock[0] += 7.0  # a query that took so long
    assert not confidence.is_whole()
    pass_time(clock, confidence, 11)
    assert confidence.is_whole()
    confidence.lose()
    assert not confidence.is_whole()


@pytest.mark.usefixtures("settings_of_a_lease")
def test_a_database_that_freezes_under_the_rescue_itself_loses_no_attempt(clock: list[float]) -> None:
    task = make_task()
    start(task)
    Task.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    confidence = Confidence()
    confidence.note()
    pass_time(clock, confidence, 11)
    assert confidence.is_whole()
    clock[0] += 20.0  # between that and the answer to the first statement of the rescue
    assert transitions.rescue(confidence.is_whole) == []
    pass_time(clock, confidence, 11)
    assert [row.id for row in transitions.rescue(confidence.is_whole)] == [task.pk]
