"""GET /tasks/stats/metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import metrics
from tasks_app.models import Task
from tasks_app.states import Status
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import make_task, make_user

pytestmark = pytest.mark.django_db


def read(client: Client, **query: str) -> dict[str, Any]:
    metrics.forget()
    response = client.get("/tasks/stats/metrics", query)
    assert response.status_code == 200
    shown: dict[str, Any] = response.json()
    return shown


def test_before_anything_was_asked_every_number_is_zero(api: Client) -> None:
    assert read(api) == {
        "window": "all", "total_tasks": 0, "pending_tasks": 0, "running_tasks": 0, "completed_tasks": 0,
        "failed_tasks": 0, "cancelled_tasks": 0, "expired_tasks": 0, "success_rate": 0.0,
        "average_execution_time": 0.0, "by_task_type": {}, "by_model": {},
        "queue_wait_seconds": {"p50": None, "p95": None, "p99": None},
        "cancel_seconds": {"p50": None, "p95": None, "p99": None}, "by_cancel_mode": {}, "throughput_per_minute": 0.0,
    }  # fmt: skip


def test_tasks_are_counted_by_where_they_stand(api: Client, identity: Identity) -> None:
    for status in Status:
        make_task(status, identity)
    make_task("completed", identity, task_type="tts", model="voice-1")
    shown = read(api)
    assert shown["total_tasks"] == 9
    assert (shown["pending_tasks"], shown["running_tasks"]) == (2, 2)
    assert (shown["completed_tasks"], shown["failed_tasks"]) == (2, 1)
    assert (shown["cancelled_tasks"], shown["expired_tasks"]) == (1, 1)
    assert shown["by_task_type"] == {"llm": 8, "tts": 1}
    assert shown["by_model"] == {"simulated": 8, "voice-1": 1}
    assert shown["success_rate"] == 66.7


def test_execution_is_measured_without_the_wait_in_the_queue(api: Client, identity: Identity) -> None:
    now = timezone.now()
    for wait, seconds in ((100, 2), (300, 4)):
        Task.objects.filter(pk=make_task("completed", identity).pk).update(
            started_at=now - timedelta(seconds=seconds), completed_at=now, queue_seconds=wait
        )
    Task.objects.filter(pk=make_task("failed", identity).pk).update(started_at=now - timedelta(hours=1))
    assert read(api)["average_execution_time"] == 3.0


def test_the_wait_in_the_queue_is_told_in_percentiles(api: Client, identity: Identity) -> None:
    for wait in range(1, 101):
        Task.objects.filter(pk=make_task(identity=identity).pk).update(queue_seconds=wait)
    assert read(api)["queue_wait_seconds"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_cancels_are_told_by_how_long_they_took_and_how_it_was_stopped(api: Client, identity: Identity) -> None:
    asked = timezone.now()
    for mode, seconds in (("cooperative", 0.25), ("cooperative", 0.5), ("killed", 6)):
        times = {"requested_at": asked.isoformat(), "stopped_at": (asked + timedelta(seconds=seconds)).isoformat()}
        Task.objects.filter(pk=make_task("cancelled", identity).pk).update(cancellation={**times, "mode": mode})
    make_task("cancelling", identity)
    make_task("cancelled")
    shown = read(api)
    assert shown["cancel_seconds"] == {"p50": 0.5, "p95": 6.0, "p99": 6.0}
    assert shown["by_cancel_mode"] == {"cooperative": 2, "killed": 1}


def test_a_task_that_was_dequeued_stopped_at_once(api: Client, identity: Identity) -> None:
    make_task("cancelled", identity)
    assert read(api)["cancel_seconds"]["p99"] == 0.0
    assert read(api)["by_cancel_mode"] == {"dequeued": 1}


def test_throughput_counts_what_was_completed_in_the_last_five_minutes(api: Client, identity: Identity) -> None:
    tasks = [make_task("completed", identity) for _ in range(3)]
    Task.objects.filter(pk=tasks[0].pk).update(completed_at=timezone.now() - timedelta(minutes=6))
    assert read(api)["throughput_per_minute"] == 0.4


def test_a_window_counts_what_was_created_in_it(api: Client, identity: Identity) -> None:
    ages = {"1h": timedelta(minutes=50), "24h": timedelta(hours=23), "7d": timedelta(days=6), "all": timedelta(days=99)}
    for age in ages.values():
        created = timezone.now() - age
        task = make_task(identity=identity)
        Task.objects.filter(pk=task.pk).delete()
        task.pk = id_of_that_time(created)
        task.created_at = created
        task.save(force_insert=True)
    assert [read(api, window=window)["total_tasks"] for window in ages] == [1, 2, 3, 4]


def id_of_that_time(moment: Any) -> Any:
    from tasks_app.selectors import first_id_at

    return first_id_at(moment)


def test_each_organization_counts_its_own_and_staff_count_all(
    api: Client, identity: Identity, organization: Organization
) -> None:
    make_task()
    make_task(identity=identity)
    staff = Client()
    staff.force_login(make_user(organization, staff=True))
    assert read(api)["total_tasks"] == 1
    assert read(staff)["total_tasks"] == 2


def test_an_answer_is_good_for_a_second(api: Client, identity: Identity) -> None:
    assert read(api)["total_tasks"] == 0
    make_task(identity=identity)
    assert api.get("/tasks/stats/metrics").json()["total_tasks"] == 0
    assert read(api)["total_tasks"] == 1


@pytest.mark.parametrize("query", ["window=2h", "window=", "since=1h"])
def test_a_wrong_window_is_refused_and_named(api: Client, query: str) -> None:
    error = error_of(api.get(f"/tasks/stats/metrics?{query}"), 400, "invalid_input")
    assert error["param"] == query.partition("=")[0]
