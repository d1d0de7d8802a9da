"""What the scheduler reads from rows and keeps in rows: shares, limits, pauses, learnt times. On a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tasks_app import services
from tasks_app.models import LearntTime, Pause, PauseKind, ShareAccount, Task
from tasks_app.outcomes import Completed, Failed, Measured
from tasks_app.scheduling import books, reading, rounds
from tasks_app.scheduling.memory import Memory
from tasks_app.scheduling.snapshot import SHOWN
from tenants_app.identity import Identity
from tenants_app.ids import uuid7
from tenants_app.models import Organization
from tests.factories import (
    end,
    make_identity,
    make_organization,
    make_simulated_models,
    make_task,
    make_user,
    make_worker,
    take,
)
from workers_app.models import Model

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _catalogue() -> None:
    make_simulated_models()


@pytest.fixture
def memory() -> Memory:
    return books.load()


def limited(**values: Any) -> Identity:
    organization = make_organization()
    Organization.objects.filter(pk=organization.pk).update(**values)
    organization.refresh_from_db()
    return make_identity(organization)


def placed_by() -> Counter[str]:
    return Counter(Task.objects.exclude(status="pending").values_list("organization__slug", flat=True))


def run(task: Task, seconds: float, load: float = 0.0) -> None:
    """The worker of a dispatched task claims it and completes it."""
    measured = Measured(model_load_seconds=load, inference_seconds=seconds)
    end(take(task), Completed({"text": "x"}, measured=measured))


# ---------------------------------------------------------------- reading


def test_a_round_finds_what_waits_through_the_index_alone():
    for _ in range(30):
        make_task()
    ended = Task.objects.values().first() | {"status": "expired", "completed_at": timezone.now()}
    Task.objects.bulk_create(Task(**ended | {"id": uuid7()}) for _ in range(500))  # as in life
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_app_task")  # what another test left and undid would make the planner see no row
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + reading.WAITING, [SHOWN])
        lines = [line for (line,) in cursor.fetchall() if "on tasks_app_task" in line]
    assert len(lines) == 3
    assert all("using task_queues" in line for line in lines)


def test_each_organization_user_model_and_priority_has_a_queue_of_its_own_oldest_first():
    acme, zebra = make_identity(), make_identity()
    person = Identity(acme.organization, make_user(acme.organization).pk, "jo")
    Model.objects.create(task_type="llm", name="other", memory_mib=70)
    old, new = make_task(identity=acme), make_task(identity=acme)
    others = [
        make_task(identity=acme, priority=9),
        make_task(identity=acme, model="other"),
        make_task(identity=acme, task_type="tts"),
        make_task(identity=person),
        make_task(identity=zebra),
    ]
    queues = reading.read_waiting(4).queues
    assert sorted(sorted(task.task_id for task in queue) for queue in queues) == sorted(
        [[old.pk, new.pk], *([task.pk] for task in others)]
    )
    [pair] = [queue for queue in queues if len(queue) == 2]
    assert [task.task_id for task in pair] == [old.pk, new.pk]
    [other] = [queue[0] for queue in queues if queue[0].model == "other"]
    assert (other.memory_mib, other.organization) == (70, acme.organization.pk)


def test_of_a_long_queue_only_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(reading, "SHOWN", 4)
    identity = make_identity()
    tasks = [make_task(identity=identity) for _ in range(8)]
    short = make_task(task_type="tts")
    waiting = reading.read_waiting(1)
    assert {len(queue) for queue in waiting.queues} == {3, 1}
    assert {key.task_type for key in waiting.cut} == {"llm"}
    assert tasks[3].pk not in {task.task_id for queue in waiting.queues for task in queue}
    assert short.pk in {task.task_id for queue in waiting.queues for task in queue}


def test_a_round_that_places_is_a_handful_of_statements_however_much_it_places(memory, django_assert_max_num_queries):
    make_worker(slots=40)
    for _ in range(30):
        make_task()
    rounds.place_waiting(memory)
    for task in Task.objects.filter(status="dispatched"):
        run(task, 1.0)
    for _ in range(20):
        make_task()
    with django_assert_max_num_queries(9):  # savepoints of the test's own transaction among them
        assert rounds.place_waiting(memory) == 20


# ---------------------------------------------------------------- shares


def test_one_organization_with_much_to_do_does_not_keep_another_waiting():
    heavy, light = make_identity(), make_identity()
    make_worker(slots=4)
    for _ in range(20):
        make_task(identity=heavy)
    make_task(identity=light)
    rounds.place_waiting()
    assert placed_by() == {heavy.organization.slug: 3, light.organization.slug: 1}


def test_shares_follow_the_weights_over_many_rounds(memory):
    thrice, once = limited(weight=3.0), limited(weight=1.0)
    make_worker(slots=1, warm_models=[{"name": "simulated", "memory_mib": 0}])
    for identity in (thrice, once):
        for _ in range(12):
            make_task(identity=identity)
    for _ in range(12):
        assert rounds.place_waiting(memory) == 1
        run(Task.objects.get(status="dispatched"), 5.0)
    assert placed_by() == {thrice.organization.slug: 9, once.organization.slug: 3}


def test_what_work_really_cost_is_charged_and_a_new_leader_knows_it(memory):
    acme = limited(weight=2.0)
    make_worker(slots=1)
    task, _ = make_task(identity=acme), make_task(identity=acme)
    rounds.place_waiting(memory)
    run(task, 30.0, load=10.0)
    rounds.place_waiting(memory)
    books.store(memory)
    accounts = ShareAccount.objects.filter(organization=acme.organization)
    assert dict(accounts.values_list("user", "virtual_seconds")) == {None: 20.0, 0: 40.0}
    assert books.load().ledger.of_organization(acme.organization.pk) == 20.0


def test_an_attempt_that_failed_is_charged_once_and_the_next_by_itself(memory):
    acme = make_identity()
    make_worker()
    task = make_task(identity=acme)
    rounds.place_waiting(memory)
    end(take(task), Failed("engine_crashed", "died", measured=Measured(inference_seconds=7.0)))
    Task.objects.filter(pk=task.pk).update(not_before=None, avoid_worker=None)
    rounds.place_waiting(memory)
    assert memory.ledger.of_organization(acme.organization.pk) == 7.0
    run(task, 5.0)
    rounds.place_waiting(memory)
    assert memory.ledger.of_organization(acme.organization.pk) == 12.0


def test_a_task_that_was_cancelled_before_it_started_costs_nothing(memory):
    acme = make_identity()
    make_worker(slots=1)
    task = make_task(identity=acme)
    rounds.place_waiting(memory)
    services.cancel(task, "tester")
    rounds.place_waiting(memory)
    assert memory.ledger.of_organization(acme.organization.pk) == 0.0


def test_accounts_that_say_nothing_any_more_are_deleted(memory):
    acme = make_identity()
    make_worker(slots=1)
    task = make_task(identity=acme)
    rounds.place_waiting(memory)
    run(task, 5.0)
    rounds.place_waiting(memory)
    books.store(memory)
    assert ShareAccount.objects.exists()
    other = make_task()
    rounds.place_waiting(memory)
    run(other, 50.0)
    make_task(identity=Identity(other.organization, None, "x"))
    rounds.place_waiting(memory)
    books.store(memory)
    assert set(ShareAccount.objects.values_list("organization", flat=True)) == {other.organization.pk}


# ---------------------------------------------------------------- learning


def test_finished_work_teaches_how_long_its_model_takes(memory):
    worker = make_worker(slots=1)
    for load, seconds in ((8.0, 3.0), (0.0, 5.0)):
        task = make_task()
        rounds.place_waiting(memory)
        run(task, seconds, load)
    rounds.place_waiting(memory)
    books.store(memory)
    learnt = LearntTime.objects.get(model="simulated", worker=worker.name)
    assert (learnt.runs, learnt.run, learnt.loads, learnt.load) == (2, 4.0, 1, 8.0)
    times = books.times()
    assert (times.run("llm", "simulated"), times.load("llm", "simulated", worker.name)) == (4.0, 8.0)
    assert LearntTime.objects.count() == 2


def test_nothing_is_written_when_nothing_has_ended(memory, django_assert_num_queries):
    with django_assert_num_queries(2):  # the savepoint
        books.store(memory)


# ---------------------------------------------------------------- limits and pauses


def test_an_organization_and_a_model_have_no_more_on_workers_than_they_may():
    make_worker(slots=10)
    small = limited(concurrency_limit=2)
    for _ in range(4):
        make_task(identity=small)
        make_task(task_type="tts")
    Model.objects.filter(task_type="tts").update(concurrency_limit=1)
    assert rounds.place_waiting() == 3
    assert rounds.place_waiting() == 0
    assert Counter(Task.objects.filter(status="dispatched").values_list("task_type", flat=True)) == {"llm": 2, "tts": 1}


def test_a_worker_gets_as_many_of_a_model_as_it_gains_from():
    make_worker(slots=40)
    Model.objects.create(task_type="tts", name="voice")
    Model.objects.create(task_type="tts", name="patient", options={"max_concurrent": 3})
    Model.objects.create(task_type="tts", name="said", options={"max_concurrent": 3}, max_per_worker=4)
    Model.objects.create(task_type="tts", name="mistyped", options={"max_concurrent": "many"})
    for name in ("voice", "patient", "said", "mistyped", "simulated"):
        for _ in range(6):
            make_task(task_type="tts", model=name)
    rounds.place_waiting()
    rounds.place_waiting()
    on_it = Counter(Task.objects.filter(status="dispatched").values_list("model", flat=True))
    assert on_it == {"voice": 2, "patient": 3, "said": 4, "mistyped": 2, "simulated": 6}


def test_an_external_pool_gets_as_many_as_it_has_slots():
    make_worker(slots=20, external=True)
    Model.objects.create(task_type="tts", name="voice")
    for _ in range(6):
        make_task(task_type="tts", model="voice")
    assert rounds.place_waiting() == 6


@pytest.mark.parametrize("kind", PauseKind.values)
def test_what_is_paused_is_not_placed_until_the_pause_is_over(kind):
    make_worker()
    task, other = make_task(), make_task(task_type="tts", model="voice")
    Model.objects.create(task_type="tts", name="voice")
    name = {"queue": "llm", "model": "simulated", "organization": task.organization.slug}[kind]
    Pause.objects.create(kind=kind, name=name, by="tester", until=timezone.now() + timedelta(hours=1))
    assert rounds.place_waiting() == 1
    other.refresh_from_db()
    assert other.status == "dispatched"
    Pause.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert rounds.place_waiting() == 1
