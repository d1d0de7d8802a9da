"""The header Idempotency-Key on every call that makes tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from tasks_app import idempotency, services
from tasks_app.models import Artifact, Batch, IdempotencyKey, Task, TaskEvent
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.api.test_submit import data_url, picture
from tests.factories import make_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]
LLM = {"task_type": "llm", "input": {"prompt": "Hello"}}
CLIENTS = 50  # posts at once
CONNECTIONS = 10  # of them to the database at a time


def post(client: Client, path: str, body: Any, key: str | None = "order-17") -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(path, body, content_type="application/json", headers=headers)


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Each on a thread with a connection of its own; all of one round start together."""
    barrier = threading.Barrier(CONNECTIONS)

    def run(act: Callable[[], Any]) -> Any:
        try:
            barrier.wait()
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return list(threads.map(run, acts))


def age(hours: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tasks_app_idempotencykey SET created_at = now() - make_interval(secs => %s)", [hours * 3600]
        )


@pytest.fixture(params=["/tasks/", "/tasks/batch/", "retry"])
def call(request: pytest.FixtureRequest, identity: Identity) -> tuple[str, Any]:
    """Where to post, and what."""
    if request.param == "retry":
        return f"/tasks/{make_task('failed', identity).pk}/retry", None
    return request.param, LLM if request.param == "/tasks/" else {"tasks": [LLM, LLM]}


def test_the_same_request_again_gets_what_it_made_and_makes_nothing(api: Client, call: tuple[str, Any]) -> None:
    path, body = call
    first = post(api, path, body)
    tasks, events = Task.objects.count(), TaskEvent.objects.count()
    again = post(api, path, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert again.json() == first.json()
    assert (Task.objects.count(), TaskEvent.objects.count()) == (tasks, events)


def test_without_a_key_each_request_is_a_new_one(api: Client, call: tuple[str, Any]) -> None:
    path, body = call
    assert [post(api, path, body, key=None).status_code for _ in range(2)] == [201, 201]


def test_a_replay_shows_the_task_as_it_is_now(api: Client) -> None:
    task = Task.objects.get(pk=post(api, "/tasks/", LLM).json()["task_id"])
    services.cancel(task, "tester")
    again = post(api, "/tasks/", LLM)
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


def test_white_space_and_the_order_of_names_make_no_other_request(api: Client) -> None:
    first = post(api, "/tasks/", '{"task_type":"llm","input":{"prompt":"Hello"}}')
    again = post(api, "/tasks/", ' { "input": {"prompt": "Hello"}, "task_type": "llm" } ')
    assert (first.status_code, again.status_code) == (201, 200)


@pytest.mark.parametrize("body", [LLM | {"priority": 9}, LLM | {"nonsense": 1}, []])
def test_another_body_with_the_same_key_is_409(api: Client, body: Any) -> None:
    post(api, "/tasks/", LLM)
    error = error_of(post(api, "/tasks/", body), 409, "idempotency_key_reused")
    assert error["param"] == "Idempotency-Key"
    assert Task.objects.count() == 1


def test_a_key_of_one_retry_is_refused_for_that_of_another_task(api: Client, identity: Identity) -> None:
    one, other = make_task("failed", identity), make_task("failed", identity)
    assert post(api, f"/tasks/{one.pk}/retry", None).status_code == 201
    error_of(post(api, f"/tasks/{other.pk}/retry", None), 409, "idempotency_key_reused")


def test_another_organization_and_another_route_have_keys_of_their_own(api: Client, stranger: Client) -> None:
    assert post(api, "/tasks/", LLM).status_code == 201
    assert post(stranger, "/tasks/", LLM).status_code == 201
    assert post(api, "/tasks/batch/", {"tasks": [LLM]}).status_code == 201
    assert Task.objects.count() == 3


def test_a_request_that_was_refused_leaves_its_key_free(api: Client) -> None:
    error_of(post(api, "/tasks/", LLM | {"priority": 11}), 400, "invalid_input")
    assert post(api, "/tasks/", LLM).status_code == 201


def test_a_task_that_was_deleted_since_is_not_made_again(api: Client) -> None:
    task = post(api, "/tasks/", LLM).json()
    api.delete(f"/tasks/{task['task_id']}?force=true")
    error_of(post(api, "/tasks/", LLM), 404, "not_found")
    assert not Task.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 256, "a\tb", "a\x7fb", "a\x00b"])
def test_a_key_that_cannot_be_one_is_refused_and_named(api: Client, call: tuple[str, Any], name: str) -> None:
    before = Task.objects.count()
    error = error_of(post(api, *call, key=name), 400, "invalid_input")
    assert error["param"] == "Idempotency-Key"
    assert Task.objects.count() == before


def test_a_key_of_255_characters_is_taken(api: Client) -> None:
    assert post(api, "/tasks/", LLM, key="é" * 255).status_code == 201


# ---------------------------------------------------------------- races and crashes


def test_many_at_once_make_one_task_and_all_get_it(key: str, call: tuple[str, Any]) -> None:
    path, body = call
    before = Task.objects.count()

    def act() -> Any:
        return post(Client(headers={"Authorization": f"Bearer {key}"}), path, body)

    answers = at_once([act] * CLIENTS)
    assert sorted(answer.status_code for answer in answers) == [200] * (CLIENTS - 1) + [201]
    assert {answer["Location"] for answer in answers} == {answers[0]["Location"]}
    assert Task.objects.count() - before == (2 if path == "/tasks/batch/" else 1)
    assert Batch.objects.count() == (1 if path == "/tasks/batch/" else 0)
    assert IdempotencyKey.objects.count() == 1


def test_of_two_bodies_at_once_one_wins_and_the_other_is_409(key: str) -> None:
    def act(number: int) -> Any:
        return post(Client(headers={"Authorization": f"Bearer {key}"}), "/tasks/", LLM | {"priority": 1 + number % 2})

    answers = at_once([lambda number=number: act(number) for number in range(CONNECTIONS)])  # type: ignore[misc]
    assert Task.objects.count() == 1
    assert [answer.status_code for answer in answers].count(409) == CONNECTIONS // 2


def test_the_image_of_a_submit_that_lost_the_race_leaves_no_file(
    key: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(idempotency, "find", _late(idempotency.find))  # so that every image is stored
    body = {"task_type": "image_to_text", "input": {"image": data_url(picture())}}

    def act() -> Any:
        return post(Client(headers={"Authorization": f"Bearer {key}"}), "/tasks/", body)

    answers = at_once([act] * CONNECTIONS)
    assert {answer.status_code for answer in answers} == {200, 201}
    [artifact] = Artifact.objects.all()
    assert [path.name for path in tmp_path.rglob("*.png")] == [Path(str(artifact.file.name)).name]


def _late(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The first look of each thread comes too early to see anything."""
    seen = threading.local()

    def look(key: Any) -> Any:
        if not getattr(seen, "once", False):
            seen.once = True
            return None
        return find(key)

    return look


def test_a_crash_before_the_commit_leaves_neither_the_task_nor_the_key(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch, "submit.before_commit")
    with pytest.raises(Crash):
        post(api, "/tasks/", LLM)
    assert not Task.objects.exists()
    monkeypatch.undo()
    assert post(api, "/tasks/", LLM).status_code == 201


def test_a_crash_after_the_commit_leaves_both_and_the_client_that_asks_again_gets_the_task(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch, "submit.after_commit")
    with pytest.raises(Crash):
        post(api, "/tasks/", LLM)
    monkeypatch.undo()
    task = Task.objects.get()
    again = post(api, "/tasks/", LLM)
    assert (again.status_code, again.json()["task_id"]) == (200, str(task.pk))


def test_a_submit_whose_commit_got_no_reply_is_recognised_and_still_has_its_image(
    api: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    submit_once = services.submit_once

    def lose_the_reply(*arguments: Any) -> Any:
        submit_once(*arguments)
        raise OperationalError("server closed the connection unexpectedly")

    body = {"task_type": "image_to_text", "input": {"image": data_url(picture())}}
    with monkeypatch.context() as patch:
        patch.setattr(services, "submit_once", lose_the_reply)
        error_of(post(api, "/tasks/", body), 503, "database_unavailable")
    again = post(api, "/tasks/", body)
    assert again.status_code == 200
    image = again.json()["input"]["image"].removeprefix("artifact://")
    assert api.get(f"/artifacts/{image}").getvalue() == picture()


class Crash(Exception):
    pass


def crash(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def reach(place: str) -> None:
        if place == at:
            raise Crash

    monkeypatch.setattr("tasks_app.crash_points.reach", reach)


# ---------------------------------------------------------------- age


def test_a_key_is_forgotten_after_a_day_even_if_its_row_still_lies_there(api: Client) -> None:
    first = post(api, "/tasks/", LLM).json()
    age(hours=24.1)
    second = post(api, "/tasks/", LLM | {"priority": 9})
    assert second.status_code == 201
    assert second.json()["task_id"] != first["task_id"]
    assert IdempotencyKey.objects.count() == 1


def test_old_keys_are_removed_in_small_batches(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "EXPIRED_BATCH", 2)
    for number in range(5):
        post(api, "/tasks/", LLM, key=f"old-{number}")
    age(hours=24.1)
    post(api, "/tasks/", LLM, key="new")
    assert idempotency.remove_expired() == 5
    assert IdempotencyKey.objects.get().key == "new"
