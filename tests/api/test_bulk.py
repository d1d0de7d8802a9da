"""POST /tasks/bulk/cancel and /tasks/bulk/retry."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from tasks_app import bulk, crash_points, services
from tasks_app.bulk import Selection
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Failed
from tasks_app.selectors import TaskFilter
from tasks_app.states import Status
from tenants_app.identity import Identity
from tests.api.conftest import error_of, until_somebody_waits
from tests.factories import end, make_identity, make_task, make_user, start

pytestmark = pytest.mark.django_db
CRASH = Failed("model_load_failed", "no such file", "")


def post(client: Client, verb: str, **body: Any) -> Any:
    return client.post(f"/tasks/bulk/{verb}", body, content_type="application/json")


def done(client: Client, verb: str, **body: Any) -> dict[str, Any]:
    """The answer, with nothing that is zero."""
    response = post(client, verb, **body)
    shown: dict[str, Any] = response.json()
    assert response.status_code == 200, shown
    skipped = shown.pop("skipped")
    return {name: value for name, value in {**shown, **skipped}.items() if value}


def statuses(*tasks: Task) -> list[str]:
    by_id = dict(Task.objects.filter(pk__in=[task.pk for task in tasks]).values_list("pk", "status"))
    return [by_id[task.pk] for task in tasks]


# ---------------------------------------------------------------- which tasks


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"all": False}, "filter"),
        ({"all": "true"}, "all"),
        ({"all": True, "filter": {"model": "x"}}, "all"),
        ({"ids": [str(uuid4())], "filter": {"model": "x"}}, "ids"),
        ({"ids": [str(uuid4())], "all": True}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [str(uuid4())] * 10_001}, "ids"),
        ({"ids": ["17"]}, "ids.0"),
        ({"ids": [17]}, "ids.0"),
        ({"filter": {"worker": "x"}}, "filter.worker"),
        ({"filter": {"status": ["done"]}}, "filter.status.0"),
        ({"filter": {"status": []}}, "filter.status"),
        ({"filter": {"error_code": "oops"}}, "filter.error_code"),
        ({"filter": {"batch_id": "oops"}}, "filter.batch_id"),
        ({"filter": {"created_after": "0001-01-01T00:00:00Z"}}, "filter.created_after"),
        ({"filter": {"created_before": "yesterday"}}, "filter.created_before"),
        ({"filter": {"model": "a\u0000"}}, "filter.model"),
        ({"filter": {"model": "x"}, "dry_run": 1}, "dry_run"),
    ],
)
def test_what_does_not_say_which_tasks_are_meant_is_refused_and_named(
    api: Client, identity: Identity, verb: str, body: dict[str, Any], param: str
) -> None:
    task = make_task(identity=identity)
    if param == "filter.model":
        raw = b'{"filter": {"model": "a\\u0000"}}'
        response = api.post(f"/tasks/bulk/{verb}", raw, content_type="application/json")
    else:
        response = post(api, verb, **body)
    assert error_of(response, 400, "invalid_input")["param"] == param
    assert statuses(task) == ["pending"]


def test_every_filter_of_the_list_narrows(api: Client, identity: Identity) -> None:
    batch = uuid4()
    task = make_task(identity=identity, task_type="tts", model="voice-1", batch_id=batch)
    others = [make_task(identity=identity) for _ in range(2)]
    created = task.created_at
    filters: list[dict[str, Any]] = [
        {"status": ["PENDING"], "task_type": "tts"}, {"model": "voice-1"}, {"batch_id": str(batch)},
        {"q": "Hello.", "task_type": "tts"}, {"created_before": (created + timedelta(microseconds=1)).isoformat()},
    ]  # fmt: skip
    for narrowed in filters:
        assert done(api, "cancel", filter=narrowed, dry_run=True) == {"dry_run": True, "matched": 1, "cancelled": 1}
    for narrowed in ({"user": "nobody"}, {"worker_id": "w-9"}, {"created_after": timezone.now().isoformat()}):
        assert done(api, "cancel", filter=narrowed) == {}
    assert statuses(task, *others) == ["pending"] * 3


def test_all_means_all_of_ones_own_organization(api: Client, identity: Identity) -> None:
    mine, theirs = make_task(identity=identity), make_task()
    assert done(api, "cancel", all=True) == {"matched": 1, "cancelled": 1}
    assert statuses(mine, theirs) == ["cancelled", "pending"]


def test_a_strangers_task_is_not_found_and_staff_reach_all(api: Client, identity: Identity, client: Client) -> None:
    theirs = make_task()
    ids = [str(theirs.pk), str(uuid4())]
    assert done(api, "cancel", ids=ids) == {"not_found": 2}
    assert statuses(theirs) == ["pending"]
    client.force_login(make_user(identity.organization, staff=True))
    assert done(client, "cancel", ids=ids) == {"matched": 1, "cancelled": 1, "not_found": 1}


# ---------------------------------------------------------------- cancel


def test_each_task_is_counted_once_by_what_became_of_it(api: Client, identity: Identity) -> None:
    kinds = ["pending", "dispatched", "running", "cancelling", "cancelled", "completed", "failed", "expired"]
    tasks = [make_task(status, identity) for status in kinds]
    ids = [str(task.pk) for task in (*tasks, tasks[0])]
    expected = {
        "matched": 8, "cancelled": 2, "cancelling": 1, "already_cancelled": 1, "already_cancelling": 1,
        "already_finished": 3,
    }  # fmt: skip
    assert done(api, "cancel", ids=ids, dry_run=True) == {"dry_run": True, **expected}
    assert statuses(*tasks) == kinds
    assert done(api, "cancel", ids=ids) == expected
    assert statuses(*tasks) == ["cancelled"] * 2 + ["cancelling"] * 2 + kinds[4:]
    assert done(api, "cancel", all=True) == {
        "matched": 8, "already_cancelled": 3, "already_cancelling": 2, "already_finished": 3,
    }  # fmt: skip


def test_many_are_worked_through_in_small_commits(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    pages: list[int] = []
    cancel_many = services.cancel_many
    monkeypatch.setattr(services, "cancel_many", lambda ids, by: pages.append(len(ids)) or cancel_many(ids, by))
    for _ in range(5):
        make_task(identity=identity)
    assert done(api, "cancel", all=True) == {"matched": 5, "cancelled": 5}
    assert pages == [2, 2, 1]


def test_a_task_that_ended_between_the_look_and_the_cancel_is_counted_as_what_it_is(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_task(identity=identity), make_task(identity=identity)
    cancel_many = services.cancel_many

    def late(ids: Any, by: str) -> Any:
        cancel_many([first.pk], "somebody else")
        Task.objects.filter(pk=second.pk).delete()
        return cancel_many(ids, by)

    monkeypatch.setattr(services, "cancel_many", late)
    tally = bulk.cancel(identity, Selection([first.pk, second.pk]))
    assert (tally.matched, +tally.words) == (1, {"already_cancelled": 1, "not_found": 1})


@pytest.mark.django_db(transaction=True)
def test_a_cancel_of_many_holds_nothing_that_a_worker_waits_for_while_it_waits_for_that_worker() -> None:
    first, second = make_task(), make_task()
    claims = {task.pk: start(task) for task in (first, second)}
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():  # a worker that reports two ends
            end(claims[second.pk], Completed({"text": "Hi!"}))
            cancelled = threads.submit(cancel_both, [first.pk, second.pk])
            until_somebody_waits()
            end(claims[first.pk], Completed({"text": "Hi!"}))  # with both rows held by the cancel: a deadlock
        assert cancelled.result() == {first.pk: "cancelling"}
    assert statuses(first, second) == ["completed"] * 2


def cancel_both(ids: list[UUID]) -> dict[UUID, Status]:
    try:
        return services.cancel_many(ids, "tester")
    finally:
        connection.close()


# ---------------------------------------------------------------- retry


def test_all_failures_of_one_cause_are_tried_again(api: Client, identity: Identity) -> None:
    fixed = [make_task("failed", identity, outcome=CRASH) for _ in range(2)]
    other = make_task("failed", identity, outcome=Failed("model_load_failed", "another file", ""))
    make_task("failed", identity)
    make_task("completed", identity)
    narrowed = {"error_code": "model_load_failed", "error_message": "no such file"}
    assert done(api, "retry", filter=narrowed, dry_run=True) == {"dry_run": True, "matched": 2, "retried": 2}
    assert not Task.objects.exclude(retry_of=None).exists()
    assert done(api, "retry", filter=narrowed) == {"matched": 2, "retried": 2}
    again = Task.objects.filter(status="pending").order_by("pk")
    assert [task.retry_of for task in again] == [task.pk for task in fixed]
    assert [task.model for task in again] == ["simulated"] * 2
    assert done(api, "retry", filter={"error_code": "model_load_failed"}) == {
        "matched": 3, "retried": 1, "already_retried": 2,
    }  # fmt: skip
    assert Task.objects.filter(retry_of=other.pk).count() == 1


def test_asking_twice_does_not_double_the_work(api: Client, identity: Identity) -> None:
    failed, running = make_task("failed", identity), make_task("running", identity)
    ids = [str(failed.pk), str(running.pk)]
    assert done(api, "retry", ids=ids) == {"matched": 2, "retried": 1, "not_finished": 1}
    assert done(api, "retry", ids=ids) == {"matched": 2, "already_retried": 1, "not_finished": 1}


def test_a_filter_without_a_status_leaves_what_completed_and_what_was_cancelled(
    api: Client, identity: Identity
) -> None:
    batch = uuid4()
    failed, expired, _, _ = [
        make_task(status, identity, batch_id=batch) for status in ("failed", "expired", "completed", "cancelled")
    ]
    assert done(api, "retry", filter={"batch_id": str(batch)}) == {"matched": 2, "retried": 2}
    assert set(Task.objects.filter(status="pending").values_list("retry_of", flat=True)) == {failed.pk, expired.pk}
    named = {"batch_id": str(batch), "status": ["completed", "cancelled"]}
    assert done(api, "retry", filter=named) == {"matched": 2, "retried": 2}


def test_a_retry_by_filter_never_meets_the_tasks_it_made(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may fail, and match the filter, while it is still at work."""
    monkeypatch.setattr(bulk, "CHUNK", 1)
    for _ in range(2):
        make_task("failed", identity)
    insert = services.insert

    def insert_and_expire(submissions: Any) -> Any:
        tasks = insert(submissions)
        Task.objects.filter(pk__in=[task.pk for task in tasks]).update(status="expired", completed_at=timezone.now())
        return tasks

    monkeypatch.setattr(services, "insert", insert_and_expire)
    assert bulk.retry(identity, Selection()).words["retried"] == 2


def test_a_retry_stays_with_the_organization_of_its_task(identity: Identity, client: Client) -> None:
    theirs = make_task("failed")
    client.force_login(make_user(identity.organization, staff=True, name="root"))
    assert done(client, "retry", ids=[str(theirs.pk)]) == {"matched": 1, "retried": 1}
    again = Task.objects.select_related("user").get(retry_of=theirs.pk)
    assert again.organization_id == theirs.organization_id
    assert again.user is not None
    assert again.user.username == "root"


@pytest.mark.django_db(transaction=True)
def test_two_bulk_retries_at_once_make_each_task_once(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = make_identity()
    ids = [make_task("failed", identity).pk for _ in range(20)]
    inside, tallies = threading.Event(), []

    def reach(place: str) -> None:
        if place == "bulk_retry.before_commit" and not inside.is_set():
            inside.set()  # the other may begin now; it has to wait for this commit
            until_somebody_waits()

    monkeypatch.setattr(crash_points, "reach", reach)

    def retry() -> None:
        try:
            tallies.append(+bulk.retry(identity, Selection(ids)).words)
        finally:
            connection.close()

    first = threading.Thread(target=retry)
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=retry)
    second.start()
    first.join()
    second.join()
    assert sorted(tallies, key=str) == [{"already_retried": 20}, {"retried": 20}]
    assert Task.objects.exclude(retry_of=None).count() == 20


def test_a_filter_by_cause_means_failed_tasks_only(identity: Identity) -> None:
    make_task("completed", identity)
    assert bulk.cancel(identity, Selection(narrowed=TaskFilter(error_code="invalid_input"))).matched == 0
