"""POST /tasks/bulk/delete and /tasks/bulk/priority, and PATCH /tasks/{id}."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client

from tasks_app import services
from tasks_app.models import Task, TaskEvent, UsageRecord
from tasks_app.states import FINAL, Status
from tasks_app.transitions import ranking
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.api.test_bulk import done, post
from tests.factories import make_task

pytestmark = pytest.mark.django_db
KINDS = [status.value for status in Status]


def patch(client: Client, task: Task, **body: Any) -> Any:
    return client.patch(f"/tasks/{task.pk}", body, content_type="application/json")


def priority_of(task: Task) -> int:
    return Task.objects.get(pk=task.pk).priority


# ---------------------------------------------------------------- delete


def test_only_what_has_ended_is_deleted_and_its_cost_stays(api: Client, identity: Identity) -> None:
    tasks = {kind: make_task(kind, identity) for kind in KINDS}
    ids = [str(task.pk) for task in tasks.values()] + [str(make_task("failed").pk)]
    expected = {"matched": 8, "deleted": len(FINAL), "active": 4, "not_found": 1}
    assert done(api, "delete", ids=ids, dry_run=True) == {"dry_run": True, **expected}
    assert Task.objects.filter(organization=identity.organization).count() == 8
    assert done(api, "delete", ids=ids) == expected
    left = set(Task.objects.filter(organization=identity.organization).values_list("status", flat=True))
    assert left == set(KINDS) - FINAL
    assert set(UsageRecord.objects.values_list("status", flat=True)) == FINAL
    assert done(api, "delete", filter={"status": ["completed"]}) == {}


def test_a_task_that_is_deleted_meanwhile_is_not_counted_twice(identity: Identity) -> None:
    task = make_task("completed", identity)
    assert services.delete_many([task.pk, uuid4()]) == [task.pk]
    assert services.delete_many([task.pk]) == []
    assert UsageRecord.objects.count() == 1


# ---------------------------------------------------------------- priority


def test_a_waiting_task_gets_another_priority_and_its_log_says_who_did_it(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    response = patch(api, task, priority=9)
    assert (response.status_code, response.json()["priority"]) == (200, 9)
    event = TaskEvent.objects.get(task=task, type="task.priority_changed")
    assert (event.seq, event.data["from"], event.data["to"]) == (2, 5, 9)
    assert patch(api, task, priority=9).status_code == 200  # it has it
    assert TaskEvent.objects.filter(task=task).count() == 2


@pytest.mark.parametrize("status", [status.value for status in Status if status != Status.PENDING])
def test_a_task_that_has_left_the_queue_keeps_its_priority(api: Client, identity: Identity, status: str) -> None:
    task = make_task(status, identity)
    error_of(patch(api, task, priority=9), 409, "already_finished" if status in FINAL else "task_active")
    assert priority_of(task) == 5


@pytest.mark.parametrize("body", [{}, {"priority": 0}, {"priority": 11}, {"priority": "5"}, {"status": "failed"}])
def test_a_bad_priority_is_named(api: Client, identity: Identity, body: dict[str, Any]) -> None:
    task = make_task(identity=identity)
    error = error_of(patch(api, task, **body), 400, "invalid_input")
    assert error["param"] == next(iter({*body} - {"priority"}), "priority")


def test_a_strangers_task_cannot_be_moved(stranger: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    error_of(patch(stranger, task, priority=9), 404, "not_found")
    assert done(stranger, "priority", ids=[str(task.pk)], priority=9) == {"not_found": 1}
    assert priority_of(task) == 5


def test_many_are_moved_and_each_is_counted_once(api: Client, identity: Identity) -> None:
    waiting, urgent = make_task(identity=identity), make_task(identity=identity, priority=9)
    make_task("running", identity)
    expected = {"matched": 3, "changed": 1, "unchanged": 1, "not_waiting": 1}
    assert done(api, "priority", all=True, priority=9, dry_run=True) == {"dry_run": True, **expected}
    assert priority_of(waiting) == 5
    assert done(api, "priority", all=True, priority=9) == expected
    assert (priority_of(waiting), priority_of(urgent)) == (9, 9)


@pytest.mark.parametrize("priority", [0, 11, "high", None])
def test_a_bulk_move_needs_a_priority(api: Client, priority: Any) -> None:
    assert error_of(post(api, "priority", all=True, priority=priority), 400, "invalid_input")["param"] == "priority"


@pytest.mark.django_db(transaction=True)
def test_of_many_the_one_that_is_just_being_placed_is_left_out(identity: Identity) -> None:
    placed, waiting = make_task(identity=identity), make_task(identity=identity)
    held = connection.copy()
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=placed.pk)
        try:
            with held.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            changed = _on(held, [placed.pk, waiting.pk])
        finally:
            held.close()
    assert changed == [waiting.pk]


def _on(other: Any, ids: list[Any]) -> list[Any]:
    """The two statements of the move, on another connection."""
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(ranking.FREE, [ids])
        free = [row[0] for row in cursor.fetchall()]
        cursor.execute(ranking.CHANGE, [9, free, 9])
        changed = [row[0] for row in cursor.fetchall()]
        cursor.execute("COMMIT")
    return changed
