"""PATCH /tasks/{id}/cancel while another connection commits at the worst moment: the answer agrees with the row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from tasks_app import services, transitions
from tasks_app.models import Task, TaskEvent
from tasks_app.outcomes import Cancelled, Completed, Failed, Outcome
from tasks_app.states import FINAL, CancelMode
from tenants_app.identity import Identity
from tests.api.conftest import client_with, error_of, until_somebody_waits
from tests.factories import RESULTS, end, make_task, start

pytestmark = pytest.mark.django_db(transaction=True)
DONE = Completed(RESULTS["llm"])
ROUNDS = 100  # each a real race of a cancel and a finish


def elsewhere(act: Callable[[], object]) -> None:
    """On a connection of its own, committed when this returns."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def cancel(client: Client, task: Task) -> Any:
    return client.patch(f"/tasks/{task.pk}/cancel")


def before_the_cancel(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """`act` is committed after the task was read and before its UPDATE."""
    request = transitions.request_cancel
    monkeypatch.setattr(transitions, "request_cancel", lambda ids, by: (elsewhere(act), request(ids, by))[1])


def after_the_cancel(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """`act` is committed after the cancel's UPDATE and before the task is read again."""
    request = transitions.request_cancel
    monkeypatch.setattr(transitions, "request_cancel", lambda ids, by: (request(ids, by), elsewhere(act))[0])


@pytest.mark.parametrize("outcome", [DONE, Failed("invalid_input", "it was bad")], ids=["completed", "failed"])
def test_a_cancel_that_comes_after_the_finish_names_the_status_that_won(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    task = make_task(identity=identity)
    claimed = start(task)
    before_the_cancel(monkeypatch, lambda: end(claimed, outcome))
    error = error_of(cancel(api, task), 409, "already_finished")
    task.refresh_from_db()
    assert task.status == ("completed" if outcome is DONE else "failed")
    assert task.status in error["message"]
    assert task.cancellation is None


def test_a_finish_that_beats_the_stop_is_told_as_what_it_is(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(identity=identity)
    claimed = start(task)
    after_the_cancel(monkeypatch, lambda: end(claimed, DONE))
    error = error_of(cancel(api, task), 409, "already_finished")
    assert "completed" in error["message"]
    assert Task.objects.get(pk=task.pk).status == "completed"


@pytest.mark.parametrize(
    "outcome", [Cancelled(CancelMode.COOPERATIVE), Failed("worker_lost", "gone")], ids=["stopped", "failed"]
)
def test_a_stop_that_comes_before_the_answer_is_answered_as_cancelled(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    task = make_task(identity=identity)
    claimed = start(task)
    after_the_cancel(monkeypatch, lambda: end(claimed, outcome))
    response = cancel(api, task)
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert Task.objects.get(pk=task.pk).status == "cancelled"


def test_a_task_that_starts_between_the_look_and_the_cancel_is_asked_to_stop(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(identity=identity)
    before_the_cancel(monkeypatch, lambda: start(task))
    response = cancel(api, task)
    assert (response.status_code, response.json()["status"]) == (202, "cancelling")


@pytest.mark.parametrize("when", [before_the_cancel, after_the_cancel])
def test_a_task_that_is_deleted_meanwhile_is_404(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch, when: Callable[..., None]
) -> None:
    task = make_task("completed", identity)
    when(monkeypatch, lambda: services.delete(task, "somebody else"))
    error_of(cancel(api, task), 404, "not_found")


def test_a_cancel_waits_for_a_finish_that_is_about_to_commit_and_loses(key: str, identity: Identity) -> None:
    task = make_task(identity=identity)
    claimed = start(task)
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            end(claimed, DONE)
            answer = threads.submit(on_its_own, lambda: cancel(client_with(key), task))
            until_somebody_waits()
            assert not answer.done()
        error = error_of(answer.result(), 409, "already_finished")
    assert "completed" in error["message"]


def test_whoever_wins_the_answer_agrees_with_the_row_and_there_is_one_end(key: str, identity: Identity) -> None:
    tasks = [make_task(identity=identity) for _ in range(ROUNDS)]
    with ThreadPoolExecutor(2) as threads:
        for task in tasks:
            claimed, together = start(task), threading.Barrier(2)
            asked = threads.submit(on_its_own, race(together, lambda task=task: cancel(client_with(key), task)))
            ended = threads.submit(on_its_own, race(together, lambda claimed=claimed: end(claimed, DONE)))
            assert ended.result() == "completed"  # a finish wins over a wish to stop
            answer = asked.result()
            assert answer.status_code in (202, 409), answer.json()
            if answer.status_code == 202:
                assert answer.json()["status"] == "cancelling"
            else:
                assert "completed" in answer.json()["detail"]
    ends = TaskEvent.objects.filter(type__in=[f"task.{status}" for status in FINAL])
    assert sorted(ends.values_list("task_id", flat=True)) == sorted(task.pk for task in tasks)


def race(together: threading.Barrier, act: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        together.wait()
        return act()

    return run


def on_its_own(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connection.close()
