"""What an organization may have waiting, and may spend in a day."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tasks_app import batches, quotas, services
from tasks_app.models import Batch, Spent, Task
from tasks_app.outcomes import Completed, Measured
from tenants_app.identity import Identity
from tenants_app.key_cache import key_cache
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import INPUTS, end, make_task, make_user, start

pytestmark = pytest.mark.django_db
LLM = {"task_type": "llm", "input": {"prompt": "Hello"}}


def limit(organization: Organization, **limits: int) -> None:
    Organization.objects.filter(pk=organization.pk).update(**limits)
    organization.refresh_from_db()
    key_cache.clear()


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    return client.post(path, body, content_type="application/json", headers=headers)


def spend(identity: Identity, seconds: float = 0.0, tokens: int = 0, at: datetime | None = None) -> Task:
    claimed = start(make_task(identity=identity))
    end(claimed, Completed({"text": "x"}, (), Measured(0.0, seconds, tokens - tokens // 2, tokens // 2)))
    if at:
        Task.objects.filter(pk=claimed.task_id).update(completed_at=at)
    return Task.objects.get(pk=claimed.task_id)


def test_without_a_limit_a_submit_asks_nothing_more(
    identity: Identity, organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):  # savepoint, task, event, release
        services.submit(identity, services.NewTask("llm", "m", INPUTS["llm"]))


def test_a_full_queue_takes_no_more_until_there_is_room(
    api: Client, identity: Identity, organization: Organization, catalogue: None
) -> None:
    limit(organization, queued_limit=2)
    first = post(api, "/tasks/", LLM).json()["task_id"]
    assert post(api, "/tasks/", LLM).status_code == 201
    refused = post(api, "/tasks/", LLM)
    error = error_of(refused, 429, "queue_full")
    assert error["message"] == "2 tasks of acme wait, and at most 2 may."
    assert int(refused["Retry-After"]) == quotas.NO_RATE
    api.patch(f"/tasks/{first}/cancel")
    assert post(api, "/tasks/", LLM).status_code == 201


def test_retry_after_is_computed_from_how_fast_tasks_end(
    api: Client, identity: Identity, organization: Organization, catalogue: None
) -> None:
    for _ in range(10):
        spend(identity)
    limit(organization, queued_limit=1)
    post(api, "/tasks/", LLM)
    assert post(api, "/tasks/", LLM)["Retry-After"] == "30"  # ten in five minutes


def test_every_task_of_a_batch_counts_and_a_batch_is_let_in_whole_or_not(
    api: Client, organization: Organization, catalogue: None
) -> None:
    limit(organization, queued_limit=3)
    assert post(api, "/tasks/batch/", {"tasks": [LLM] * 2}).status_code == 201
    error_of(post(api, "/tasks/batch/", {"tasks": [LLM] * 2}), 429, "queue_full")
    assert (Task.objects.count(), Batch.objects.count()) == (2, 1)
    error = error_of(post(api, "/tasks/batch/", {"tasks": [LLM] * 4}), 400, "invalid_input")
    assert error["message"] == "At most 3 tasks of acme may wait, and these are 4."


def test_retries_count_too(api: Client, identity: Identity, organization: Organization, catalogue: None) -> None:
    failed = [make_task("failed", identity) for _ in range(2)]
    make_task(identity=identity)
    limit(organization, queued_limit=2)
    ids = [str(task.pk) for task in failed]
    error_of(post(api, "/tasks/bulk/retry", {"ids": ids}), 429, "queue_full")
    assert post(api, f"/tasks/{ids[0]}/retry", {}).status_code == 201
    error_of(post(api, f"/tasks/{ids[1]}/retry", {}), 429, "queue_full")


def test_a_replay_of_what_was_let_in_is_not_refused(api: Client, organization: Organization, catalogue: None) -> None:
    limit(organization, queued_limit=1)
    key = {"Idempotency-Key": "a"}
    assert post(api, "/tasks/", LLM, **key).status_code == 201
    assert post(api, "/tasks/", LLM, **key).status_code == 200
    other = {"Idempotency-Key": "b"}
    error_of(post(api, "/tasks/", LLM, **other), 429, "queue_full")
    Task.objects.all().delete()
    assert post(api, "/tasks/", LLM, **other).status_code == 201  # a refusal uses no key up


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"gpu_seconds_per_day": 10}, "acme has used 10 of 10 GPU-seconds of today; the day ends at 00:00 UTC."),
        ({"tokens_per_day": 100}, "acme has used 100 of 100 tokens of today; the day ends at 00:00 UTC."),
    ],
)
def test_a_spent_day_is_over_until_midnight(
    api: Client, identity: Identity, organization: Organization, catalogue: None, limits: dict[str, int], message: str
) -> None:
    limit(organization, **limits)
    spend(identity, 4.0, 40)
    assert post(api, "/tasks/", LLM).status_code == 201
    spend(identity, 6.0, 60)
    refused = post(api, "/tasks/", LLM)
    assert error_of(refused, 429, "quota_exceeded")["message"] == message
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert abs(int(refused["Retry-After"]) - (tomorrow - datetime.now(UTC)).total_seconds()) < 60


def test_yesterday_and_other_organizations_do_not_count(
    api: Client, identity: Identity, organization: Organization, catalogue: None
) -> None:
    limit(organization, gpu_seconds_per_day=10)
    spend(identity, 50.0, at=quotas._midnight(timezone.now()) - timedelta(seconds=1))
    end(start(make_task()), Completed({"text": "x"}, (), Measured(0.0, 50.0)))
    assert post(api, "/tasks/", LLM).status_code == 201


def test_deleting_tasks_gives_nothing_back(
    api: Client, identity: Identity, organization: Organization, catalogue: None
) -> None:
    limit(organization, gpu_seconds_per_day=10)
    services.delete(spend(identity, 10.0), "x")
    error_of(post(api, "/tasks/", LLM), 429, "quota_exceeded")


def test_deleting_a_task_at_work_costs_what_it_held_its_device_for(
    api: Client, identity: Identity, organization: Organization, catalogue: None
) -> None:
    limit(organization, gpu_seconds_per_day=10)
    claimed = start(make_task(identity=identity))
    Task.objects.filter(pk=claimed.task_id).update(started_at=timezone.now() - timedelta(seconds=11))
    assert api.delete(f"/tasks/{claimed.task_id}?force=true").status_code == 204
    error_of(post(api, "/tasks/", LLM), 429, "quota_exceeded")


def test_the_mark_of_what_was_added_up_changes_no_sum(identity: Identity, organization: Organization) -> None:
    midnight = quotas._midnight(timezone.now())
    day_after = midnight + timedelta(days=3)
    tasks = [spend(identity, 1.0, 10, day_after).pk for _ in range(40)]
    for number, task in enumerate(tasks):  # as the day goes on they end, one each seven minutes, and the mark follows
        now = midnight + timedelta(minutes=7 * number)
        Task.objects.filter(pk=task).update(completed_at=now)
        if number % 3 == 0:
            assert quotas._spent_today(organization, now) == (number + 1, 10 * (number + 1))
    assert Spent.objects.get().until == now - quotas.SETTLED
    for task in (tasks[0], tasks[-1]):
        services.delete(Task.objects.get(pk=task), "x")
    assert quotas._spent_today(organization, now) == (40, 400)
    assert quotas._spent_today(organization, now + timedelta(days=1)) == (0, 0)


def test_a_page_says_what_the_api_says(organization: Organization, identity: Identity, catalogue: None) -> None:
    failed = make_task("failed", identity)
    limit(organization, queued_limit=0)
    browser = Client()
    browser.force_login(make_user(organization))
    refused = browser.post("/ui/submit/llm/", {"model": "simulated", "input.prompt": "Hello"})
    assert (refused.status_code, "At most 0 tasks of acme may wait" in refused.content.decode()) == (400, True)
    retried = browser.post(f"/ui/tasks/{failed.pk}/retry/", follow=True)
    assert "At most 0 tasks of acme may wait" in retried.content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("size", "passing"), [(1, 20), (3, 6)])
def test_of_many_submits_at_once_exactly_as_many_pass_as_the_queue_has_room_for(
    identity: Identity, organization: Organization, size: int, passing: int
) -> None:
    limit(organization, queued_limit=20)
    begin, answers = threading.Barrier(60), Counter[str]()

    def submit() -> None:
        begin.wait()
        try:
            tasks = [services.NewTask("llm", "m", INPUTS["llm"]) for _ in range(size)]
            batches.submit(identity, batches.NewBatch(), tasks)
            answers["passed"] += 1
        except quotas.QueueFull:
            answers["refused"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=submit) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {"passed": passing, "refused": 60 - passing}
    assert Task.objects.count() == passing * size
