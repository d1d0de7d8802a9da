"""Queues of workers that are gone are emptied, on Redis; `test_rabbitmq.py` does the same on RabbitMQ."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from tasks_app.scheduling import rounds
from tasks_app.scheduling.tidying import GONE_AFTER_LEASES, Tidying
from tests.factories import make_simulated_models, make_task, make_worker
from tests.integration.test_rounds import age, broker, broker_away, messages_for
from workers_app.models import Worker

__all__ = ["broker", "broker_away"]  # fixtures
pytestmark = pytest.mark.django_db
GONE = GONE_AFTER_LEASES * settings.LEASE_SECONDS + 1


@pytest.fixture
def worker() -> Worker:
    """With one message in its queue."""
    make_simulated_models()
    worker = make_worker()
    make_task()
    assert rounds.place_waiting() == 1
    return worker


def test_the_queue_of_a_worker_that_was_lost_long_ago_is_emptied(broker, worker):
    age(worker, GONE)
    Tidying().run()
    assert messages_for(broker, worker) == 0


def test_the_queue_of_a_worker_that_stopped_long_ago_is_emptied(broker, worker):
    Worker.objects.update(stopped_at=timezone.now() - timedelta(seconds=GONE))
    Tidying().run()
    assert messages_for(broker, worker) == 0


@pytest.mark.parametrize("silence", [0, GONE / 2])
def test_the_queue_of_a_worker_that_may_come_back_is_left_alone(broker, worker, silence):
    age(worker, silence)
    Tidying().run()
    assert messages_for(broker, worker) == 1


def test_the_queue_of_a_worker_whose_host_name_another_has_taken_is_left_alone(broker, worker):
    age(worker, GONE)
    make_worker(name="its-heir", hostname=worker.hostname)
    Tidying().run()
    assert messages_for(broker, worker) == 1


def test_a_worker_that_came_back_during_the_tidying_still_gets_the_next_message(broker, worker):
    age(worker, GONE)
    Tidying().run()
    age(worker, 0)
    make_task()
    assert rounds.place_waiting() == 1
    assert messages_for(broker, worker) == 1


@pytest.mark.usefixtures("broker", "worker", "broker_away")
def test_a_broker_that_is_away_is_asked_again_later():
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=GONE))
    tidying = Tidying()
    tidying.run()
    assert not tidying._done
