"""A round of the scheduler on a real PostgreSQL and a real Redis: what is placed, sent, sent again and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import celery
import pytest
import redis
from django.conf import settings
from django.utils import timezone

from tasks_app.models import Task
from tasks_app.scheduling import leader, rounds
from tasks_app.scheduling.leader import Leadership
from tests.factories import dispatch as dispatch_task
from tests.factories import make_simulated_models, make_task, make_worker
from workers_app.models import Model, Worker

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
HELD_BACK = [
    {"state": "paused"}, {"state": "draining"}, {"state": "retired"}, {"quarantined_at": LONG_AGO}, {"stopping": True},
    {"stopped_at": LONG_AGO},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _catalogue() -> None:
    make_simulated_models()


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL.replace("redis+socket", "unix").replace("virtual_host", "db")
    )
    client.flushdb()
    yield client
    client.close()


def messages_for(broker: redis.Redis, worker: Worker) -> int:
    return int(broker.llen(f"{worker.hostname}.dq2"))  # type: ignore[arg-type]


def age(worker: Worker, seconds: float) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=seconds))


def unclaimed(task: Task, seconds: float = 60) -> None:
    Task.objects.filter(pk=task.pk).update(sent_at=timezone.now() - timedelta(seconds=seconds))


def statuses() -> list[str]:
    return list(Task.objects.order_by("id").values_list("status", flat=True))


def test_waiting_tasks_fill_the_free_slots_and_no_more(broker):
    worker = make_worker(slots=2)
    for _ in range(3):
        make_task()
    assert rounds.place_waiting() == 2
    assert statuses() == ["dispatched", "dispatched", "pending"]
    assert messages_for(broker, worker) == 2
    assert rounds.place_waiting() == 0


def test_a_message_carries_the_ids_and_nothing_that_could_not_be_lost(broker):
    worker, task = make_worker(), make_task(input={"prompt": "a secret of mine"})
    rounds.place_waiting()
    message = broker.lpop(f"{worker.hostname}.dq2")
    task.refresh_from_db()
    assert str(task.attempt_id).encode() in message
    assert b"secret" not in message


@pytest.mark.parametrize("values", HELD_BACK, ids=str)
def test_a_worker_that_takes_no_work_gets_none(values):
    make_worker(**values)
    make_task()
    assert rounds.place_waiting() == 0


@pytest.mark.parametrize("values", HELD_BACK, ids=str)
def test_what_a_worker_that_takes_no_work_has_not_claimed_goes_back_at_the_next_look(values):
    worker, task = make_worker(), make_task()
    dispatch_task(task, worker.name)
    rounds.resend_unclaimed()
    assert statuses() == ["dispatched"]
    Worker.objects.filter(pk=worker.pk).update(**values)
    rounds.resend_unclaimed()
    assert statuses() == ["pending"]


def test_a_worker_whose_heartbeat_is_late_gets_no_new_work():
    age(make_worker(), settings.HEARTBEAT_INTERVAL * 3)
    make_task()
    assert rounds.place_waiting() == 0


def test_what_may_not_run_yet_stays_in_the_queue():
    make_worker()
    make_task(run_at=timezone.now() + timedelta(hours=1))
    assert rounds.place_waiting() == 0


def test_a_model_that_nobody_runs_does_not_hide_the_others():
    make_worker(kinds=["tts"], slots=1)
    for _ in range(20):
        make_task(priority=10)
    speech = make_task(task_type="tts", priority=1)
    assert rounds.place_waiting() == 1
    speech.refresh_from_db()
    assert speech.status == "dispatched"


def test_a_disabled_model_is_not_placed_and_not_lost():
    make_worker()
    make_task(model="gone")
    Model.objects.create(task_type="llm", name="gone", enabled=False)
    assert rounds.place_waiting() == 0
    assert statuses() == ["pending"]


def test_an_unclaimed_dispatch_is_sent_again_to_a_live_worker(broker):
    worker, task = make_worker(), make_task()
    dispatch_task(task, worker.name)
    unclaimed(task)
    rounds.resend_unclaimed()
    assert messages_for(broker, worker) == 1
    rounds.resend_unclaimed()  # not again before the next time-out
    assert messages_for(broker, worker) == 1


def test_an_unclaimed_dispatch_of_a_worker_that_is_gone_goes_back_to_the_queue():
    worker, task = make_worker(), make_task()
    dispatch_task(task, worker.name)
    unclaimed(task)
    age(worker, settings.LEASE_SECONDS * 2)
    rounds.resend_unclaimed()
    task.refresh_from_db()
    assert (task.status, task.attempt, task.avoid_worker) == ("pending", 0, worker.name)


@pytest.fixture
def broker_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Celery's current application talks to a port where nobody listens."""
    ours = celery.current_app._get_current_object()
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")  # Celery takes it before its own argument
    celery.Celery("away").set_current()
    yield
    ours.set_current()


def test_a_broker_that_is_away_delays_the_message_and_loses_nothing(broker_away):
    make_worker()
    make_task()
    assert rounds.place_waiting() == 1
    assert statuses() == ["dispatched"]


# ---------------------------------------------------------------- leadership


def test_one_leads_and_the_next_takes_over_when_it_is_gone():
    first, second = Leadership(), Leadership()
    assert first.held()
    assert first.held()
    assert not second.held()
    assert leader.exists()
    first.give_up()
    assert second.held()
    second.give_up()
    assert not leader.exists()
