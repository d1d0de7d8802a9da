"""What the scheduler does beside placing, and how often."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from tasks_app import idempotency
from tasks_app.models import IdempotencyKey
from tasks_app.scheduling import books
from tasks_app.scheduling.loop import Scheduler
from tenants_app.ids import uuid7
from tests.factories import make_identity

pytestmark = pytest.mark.django_db


def make_old_key(name: str) -> None:
    idempotency.take(idempotency.key_for(make_identity(), "tasks", name, {}), uuid7())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_app_idempotencykey SET created_at = now() - interval '25 hours'")


def keep_house(scheduler: Scheduler) -> None:
    scheduler._kept_house_at = 0.0  # as if a round's time had passed
    scheduler._keep_house(time.monotonic(), books.load())


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
