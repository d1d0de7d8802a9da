"""Between submit and claim: the broker is away, frozen, empty, full , half-open; messages come late, often, never."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
from celery import Celery
from celery.utils.nodenames import worker_direct

from tasks_app.wire_names import TASK_NAMES
from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.faults
QUICK = {"seconds": 0.1, "steps": 2}


def submit_many(stack: Stack, number: int, **values: Any) -> list[str]:
    """By several clients at once."""
    with ThreadPoolExecutor(8) as clients:
        return list(clients.map(lambda _: stack.submit(simulate=QUICK, **values), range(number)))


def all_complete_at_once(stack: Stack, tasks: list[str], attempts: int = 1) -> None:
    for task in tasks:
        assert stack.wait_for(task, "completed", seconds=60)["attempt"] == attempts


@contextmanager
def redis_of(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.servers.redis_url) as client:
        yield client


def messages_to(stack: Stack, broker: Celery, task: str, attempt: UUID, worker: str, number: int = 1) -> None:
    with broker.producer_or_acquire() as producer:
        for _ in range(number):
            broker.send_task(
                TASK_NAMES["llm"], args=[task], task_id=str(attempt), queue=worker_direct(f"{worker}@test"),
                producer=producer, ignore_result=True,
            )  # fmt: skip


@pytest.fixture
def broker(stack: Stack) -> Iterator[Celery]:
    """Whoever can reach the broker."""
    app = Celery("anybody", set_as_current=False)
    app.conf.broker_write_url = stack.env["CELERY_BROKER_URL"]  # `broker_url` gives way to the environment's
    app.conf.task_create_missing_queues = True
    yield app
    app.close()


def test_submits_are_accepted_while_the_broker_is_gone_and_run_when_it_is_back(stack):
    stack.stop_broker()
    tasks = submit_many(stack, 100)
    assert {stack.get(task)["status"] for task in tasks} <= {"pending", "dispatched"}
    stack.start_broker()
    all_complete_at_once(stack, tasks)


def test_submits_are_accepted_while_the_broker_is_frozen_and_the_scheduler_does_not_hang_on_it(stack):
    stack.freeze_broker()
    try:
        tasks = submit_many(stack, 40)
        late = stack.submit(simulate=QUICK, start_timeout=1)
        assert stack.wait_for(late, "expired")["attempt"] == 0  # so it still keeps house
    finally:
        stack.thaw_broker()
    all_complete_at_once(stack, tasks)


def test_a_message_whose_publish_failed_and_that_comes_all_the_same_starts_nothing_twice(stack):
    stack.needs_redis()
    with stack.behind_proxy("redis") as (proxy, env):
        stack.start_scheduler("cut-off", **env)
        stack.kill("scheduler")
        stack.wait_for(stack.submit(simulate=QUICK), "completed")
        proxy.freeze()
        task = stack.submit(simulate=QUICK)
        wait_until(lambda: "broker_away" in stack.log("cut-off"), 30, "the publish to fail")
        proxy.thaw()
        assert stack.wait_for(task, "completed")["attempt"] == 1
        stack.kill("cut-off")


@pytest.mark.parametrize("how", ["killed", "flushed"])
def test_a_redis_that_forgets_everything_loses_no_task_and_no_attempt(stack, how):
    stack.needs_redis()
    stack.start_worker("wide", slots=12)
    wait_until(lambda: stack.online_workers() == 2, 30, "the second worker")
    running = [stack.submit(simulate={"seconds": 3, "steps": 30}) for _ in range(10)]
    for task in running:
        stack.at_work(task)
    waiting = submit_many(stack, 100)
    if how == "killed":
        stack.stop_broker()
        stack.start_broker()
    else:
        with redis_of(stack) as client:
            client.flushall()
    all_complete_at_once(stack, running)
    all_complete_at_once(stack, waiting)


def test_a_redis_that_evicts_makes_baton_unready_and_loses_nothing(stack):
    stack.needs_redis()
    with redis_of(stack) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            client.config_set("maxmemory", "3mb")
            for number in range(400):
                client.set(f"other:{number}", "x" * 10_000)
            tasks = submit_many(stack, 40)
            ready = stack.api.get("/readyz")
            assert ready.status_code == 503
            assert "must be noeviction" in ready.json()["broker"]["detail"]
            all_complete_at_once(stack, tasks)
        finally:
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")
            client.flushall()


@pytest.mark.thorough
def test_a_worker_whose_connections_to_redis_are_half_open_comes_back_by_itself(stack):
    stack.needs_redis()
    with stack.behind_proxy("redis") as (proxy, env):
        stack.start_worker("half", **env)
        stack.kill("w1")
        stack.wait_for(stack.submit(simulate=QUICK), "completed")
        proxy.vanish()
        tasks = submit_many(stack, 4)
        for task in tasks:
            done = stack.wait_for(task, "completed", seconds=60)
            assert (done["attempt"], done["worker_id"]) == (1, "half")
        stack.kill("half")


def test_a_message_that_comes_fifty_times_to_four_workers_starts_one_attempt(stack, broker):
    stack.kill("w1", signal.SIGSTOP)  # placed on it, and not read
    task = stack.submit(simulate=QUICK)
    with psycopg.connect(stack.servers.database_url, autocommit=True) as session:
        query = "SELECT attempt_id FROM tasks_app_task WHERE id = %s AND status = 'dispatched'"
        [attempt] = wait_until(lambda: session.execute(query, [task]).fetchone(), what="the dispatch")
    names = ["w2", "w3", "w4"]
    for name in names:
        stack.start_worker(name, slots=2)
    wait_until(lambda: stack.online_workers() >= len(names), 30, "the other workers")
    for name in names:
        wait_until(lambda name=name: f"{name}@test ready" in stack.log(name), 30, "its queue")  # type: ignore[misc]
        messages_to(stack, broker, task, attempt, name, 12)
    messages_to(stack, broker, task, attempt, "w1", 14)
    stack.kill("w1", signal.SIGCONT)
    assert stack.wait_for(task, "completed")["worker_id"] in ("w1", *names)
    wait_until(lambda: all("message_dropped" in stack.log(name) for name in names), 30, "all to have read it")
    assert [a["outcome"] for a in stack.attempts(task)] == ["completed"]


def test_forged_messages_start_nothing_and_stop_nobody(stack, broker):
    """Pickle, a task that nobody knows, an id that was never given, and words where an id should be."""
    queue = worker_direct("w1@test")
    with broker.producer_or_acquire() as producer:
        send = {"queue": queue, "producer": producer, "ignore_result": True}
        broker.send_task(TASK_NAMES["llm"], args=["x"], serializer="pickle", **send)
        broker.send_task("os.system", args=["true"], **send)
        broker.send_task(TASK_NAMES["llm"], args=["0199f3c2-7b1e-7c55-9a0e-3f6f0c1d2e3f"], **send)
        broker.send_task(TASK_NAMES["llm"], args=["'; DROP TABLE tasks_app_task; --"], **send)
        broker.send_task(TASK_NAMES["llm"], args=[], **send)
        broker.send_task(TASK_NAMES["tts"], kwargs={"task_id": "\x00"}, **send)
    all_complete_at_once(stack, submit_many(stack, 4))
    assert stack.processes["w1"].poll() is None
    assert "raised unexpected" not in stack.log("w1")
    for sign in ("ContentDisallowed", "os.system", "message_dropped", "message_not_ours"):
        assert sign in stack.log("w1"), sign


PLACES = [
    "dispatch.before_commit",
    "dispatch.after_commit",
    "send.after_publish",
    "expire.before_commit",
    "expire.after_commit",
]


def test_schedulers_that_die_at_each_of_their_places_leave_everything_to_the_next(stack):
    chance = random.Random()
    stack.kill("scheduler")
    chance.shuffle(PLACES)
    for number, place in enumerate(PLACES):
        stack.start_scheduler(f"doomed-{number}", CRASH_AT=f"{place}:{chance.randint(1, 2)}")
    tasks = submit_many(stack, 10)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    def all_died() -> bool:
        tasks.append(stack.submit(simulate={"seconds": 0}))  # or nobody would place anything more
        stack.submit(run_at=tomorrow, start_timeout=1)  # nor let anything expire
        return all(stack.died(f"doomed-{number}") for number in range(len(PLACES)))

    wait_until(all_died, 60, f"all of them to die: {PLACES}")
    stack.start_scheduler("last")
    all_complete_at_once(stack, tasks)
