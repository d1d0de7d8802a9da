"""GET /tasks/{id}/explain, and the refusal of what nobody could ever run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import explaining, services
from tasks_app.models import LearntTime, Pause, Task
from tasks_app.outcomes import Failed
from tasks_app.scheduling import outlook
from tasks_app.scheduling.leader import Leadership
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.factories import end, make_identity, make_task, make_worker, start
from workers_app.models import Model, Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


@pytest.fixture
def leading() -> Iterator[None]:
    leadership = Leadership()
    assert leadership.held()
    yield
    leadership.give_up()


def explain(client: Client, task: Task) -> dict[str, Any]:
    outlook.forget()
    response = client.get(f"/tasks/{task.pk}/explain")
    assert response.status_code == 200, response.content
    return dict(response.json())


def learn(seconds: float, deviation: float = 1.0) -> None:
    LearntTime.objects.create(
        task_type="llm", model="simulated", runs=9, run=seconds, deviation=deviation, loads=1, load=3.0
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [("dispatched", "dispatched"), ("running", "running"), ("cancelling", "cancelling"), ("completed", "ended")],
)
def test_what_does_not_wait_says_where_it_is(api: Client, identity: Identity, status: str, reason: str) -> None:
    told = explain(api, make_task(status, identity))
    assert (told["reason"], told["position"], told["estimated_start"]) == (reason, None, None)


def test_without_a_scheduler_that_is_the_reason(api: Client, identity: Identity) -> None:
    assert explain(api, make_task(identity=identity))["reason"] == "no_scheduler"


@pytest.mark.usefixtures("leading")
def test_what_is_scheduled_or_backs_off_says_until_when(api: Client, identity: Identity, settings: Any) -> None:
    settings.RETRY_BACKOFF_SECONDS = 30
    later = timezone.now() + timedelta(hours=1)
    told = explain(api, make_task(identity=identity, run_at=later))
    assert told["reason"] == "scheduled"
    assert told["estimated_start"]["earliest"].startswith(later.isoformat()[:19])
    failed = make_task(identity=identity)
    end(start(failed), Failed("download_failed", "gone"))
    assert explain(api, failed)["reason"] == "backoff"


@pytest.mark.usefixtures("leading")
def test_the_policy_gives_the_reason_and_the_place_in_line(api: Client, identity: Identity) -> None:
    worker = make_worker(slots=1)
    first = make_task(identity=identity)
    assert explain(api, first)["reason"] == "next"
    make_task("running", identity, worker=worker.name)
    stranger = make_task(identity=make_identity())
    second = make_task(identity=identity)
    assert explain(api, first)["reason"] == "no_free_slot"
    told = explain(api, second)
    assert told["position"]["own"] == 2
    assert told["position"]["overall"] in (2, 3)  # the stranger's turn may come before
    assert explain(api, first)["position"]["own"] == 1
    assert stranger.organization != first.organization


@pytest.mark.usefixtures("leading")
def test_the_start_is_a_range_that_history_tells(api: Client, identity: Identity) -> None:
    worker = make_worker(slots=1, warm_models=[{"name": "simulated", "memory_mib": 0}])
    make_task("running", identity, worker=worker.name)
    tasks = [make_task(identity=identity) for _ in range(3)]
    assert explain(api, tasks[2])["estimated_start"] is None  # this model never ran here
    learn(10.0, deviation=1.0)
    spans = [explain(api, task)["estimated_start"] for task in tasks]
    assert spans[0]["earliest"] < spans[1]["earliest"] < spans[2]["earliest"]
    assert all(span["earliest"] <= span["latest"] for span in spans)


@pytest.mark.usefixtures("leading")
def test_what_is_paused_says_by_whom_and_why_and_no_time(api: Client, identity: Identity) -> None:
    make_worker()
    learn(1.0)
    Pause.objects.create(kind="queue", name="llm", by="ada", reason="new driver")
    told = explain(api, make_task(identity=identity))
    assert (told["reason"], told["estimated_start"]) == ("queue_paused", None)
    assert told["message"] == "The queue llm was paused by ada: new driver."


@pytest.mark.usefixtures("leading")
def test_paused_tasks_do_not_stand_before_others(api: Client, identity: Identity) -> None:
    make_worker(slots=1)
    Model.objects.create(task_type="llm", name="other", source="x/other")
    Pause.objects.create(kind="model", name="other", by="ada")
    for _ in range(3):
        make_task(identity=identity, model="other")
    assert explain(api, make_task(identity=identity))["position"] == {"overall": 1, "own": 1}


@pytest.mark.usefixtures("leading")
def test_behind_a_very_long_line_only_the_own_queue_is_counted(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlook, "LOOKED_AT", 0)
    monkeypatch.setattr("tasks_app.scheduling.reading.SHOWN", 2)
    tasks = [make_task(identity=identity) for _ in range(6)]
    told = explain(api, tasks[-1])
    assert (told["reason"], told["position"], told["more_than"]) == ("no_worker", None, 5)


@pytest.mark.usefixtures("leading")
def test_a_task_that_starts_while_it_is_explained_is_explained_as_it_is_now(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    seen = Task.objects.get(pk=task.pk)
    start(task)
    assert explaining.explain(seen).reason == "running"


def test_another_organization_is_told_nothing(stranger: Client, identity: Identity) -> None:
    error_of(stranger.get(f"/tasks/{make_task(identity=identity).pk}/explain"), 404, "not_found")


# ---------------------------------------------------------------- what nobody could ever run


def submit(client: Client, **values: Any) -> Any:
    body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "x"}, **values}
    return client.post("/tasks/", body, content_type="application/json")


def test_while_no_worker_is_known_everything_is_taken(api: Client) -> None:
    assert submit(api).status_code == 201


@pytest.mark.parametrize(
    ("worker", "missing"),
    [
        ({"kinds": ["tts"]}, "type llm"),
        ({"allowed_models": ["other"]}, "WORKER_MODELS"),
        ({"device": {"memory_total_mib": 100}}, "needs 500 MiB, and the largest device that may run it has 100 MiB"),
    ],
)
def test_a_task_that_no_registered_worker_could_run_is_refused(
    api: Client, worker: dict[str, Any], missing: str
) -> None:
    Model.objects.filter(task_type="llm").update(memory_mib=500)
    make_worker(**worker)
    assert missing in error_of(submit(api), 422, "no_capable_worker")["message"]
    assert not Task.objects.exists()


def test_unless_the_catalogue_says_that_such_a_worker_may_come(api: Client) -> None:
    make_worker(kinds=["tts"])
    Model.objects.filter(task_type="llm").update(worker_may_come=True)
    assert submit(api).status_code == 201


def test_a_worker_that_is_away_still_counts(api: Client) -> None:
    away = make_worker()
    Worker.objects.filter(pk=away.pk).update(heartbeat_at=timezone.now() - timedelta(days=2))
    assert submit(api).status_code == 201


def test_a_retry_is_refused_for_the_same_reason(api: Client, identity: Identity) -> None:
    task = make_task("failed", identity)
    make_worker(kinds=["tts"])
    error_of(api.post(f"/tasks/{task.pk}/retry"), 422, "no_capable_worker")
    assert services.Task.objects.count() == 1


def test_in_a_batch_it_is_told_which_of_the_tasks_nobody_could_run(api: Client) -> None:
    make_worker(kinds=["tts"])
    bodies = [{"task_type": "tts", "model": "simulated", "input": {"text": "Hi."}}]
    bodies += [{"task_type": "llm", "model": "simulated", "input": {"prompt": "x"}}]
    refused = api.post("/tasks/batch/", {"tasks": bodies}, content_type="application/json")
    assert error_of(refused, 400, "invalid_input")["param"] == "tasks[1].model"
    assert not Task.objects.exists()
