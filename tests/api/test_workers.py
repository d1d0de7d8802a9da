"""/tasks/workers/health, /tasks/workers/stats, /workers/, /workers/{name} and GET /models/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app.scheduling import leader, rounds
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import client_with, error_of
from tests.factories import make_key, make_task, make_user, make_worker
from workers_app.models import Model, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def leading() -> Iterator[None]:
    """A scheduler leads, on a session of its own."""
    leadership = leader.Leadership()
    assert leadership.held()
    yield
    leadership.give_up()


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


def health(client: Client) -> Any:
    return client.get("/tasks/workers/health").json()


def test_without_a_worker_nothing_can_start(api: Client, leading: None) -> None:
    assert health(api) == {
        "status": "down", "total_workers": 0, "online_workers": 0, "late_workers": 0, "lost_workers": 0,
        "paused_workers": 0, "draining_workers": 0, "quarantined_workers": 0, "external_workers": 0, "workers": {},
        "queue_info": {"gpu_queue": {"length": 0, "oldest_seconds": 0.0}}, "scheduler": {"leader": True},
    }  # fmt: skip


def test_without_a_scheduler_nothing_can_start(api: Client) -> None:
    make_worker()
    assert (health(api)["status"], health(api)["scheduler"]) == ("down", {"leader": False})


def test_workers_that_live_are_healthy(api: Client, leading: None) -> None:
    make_worker()
    make_worker()
    shown = health(api)
    assert (shown["status"], shown["total_workers"], shown["online_workers"]) == ("healthy", 2, 2)


@pytest.mark.parametrize(
    "trouble",
    [
        {"heartbeat_at": timedelta(seconds=1)},
        {"heartbeat_at": timedelta(minutes=30)},
        {"state": "paused"},
        {"state": "draining"},
        {"quarantined_at": timedelta(seconds=1), "quarantine_reason": "a sum came out wrong"},
    ],
)
def test_a_worker_that_is_late_lost_or_held_back_makes_it_degraded(
    api: Client, leading: None, trouble: dict[str, Any]
) -> None:
    make_worker()
    values = {
        name: timezone.now() - value if isinstance(value, timedelta) else value for name, value in trouble.items()
    }
    make_worker(**values)
    assert health(api)["status"] == "degraded"


def test_a_worker_that_left_long_ago_or_in_good_order_worries_nobody(api: Client, leading: None) -> None:
    make_worker()
    make_worker(heartbeat_at=ago(hours=2))
    make_worker(stopped_at=ago(hours=2))
    make_worker(stopped_at=ago(minutes=1))
    shown = health(api)
    assert (shown["status"], shown["total_workers"]) == ("healthy", 1)


def test_workers_that_take_no_work_are_counted_apart_and_the_retired_not_at_all(api: Client, leading: None) -> None:
    make_worker()
    for state in ("paused", "draining", "draining", "retired"):
        make_worker(state=state)
    make_worker(state="retired", heartbeat_at=ago(minutes=5))
    make_worker(state="paused", quarantined_at=ago(seconds=1))
    shown = health(api)
    counts = [shown[f"{word}_workers"] for word in ("total", "online", "paused", "draining", "quarantined", "lost")]
    assert counts == [5, 5, 1, 2, 1, 0]


def test_the_queue_is_counted_for_everybody_and_names_nobody(api: Client) -> None:
    for _ in range(2):
        make_task()
    response = api.get("/tasks/workers/health")
    queue = response.json()["queue_info"]["gpu_queue"]
    assert queue["length"] == 2
    assert 0 <= queue["oldest_seconds"] < 60
    assert b"org-" not in response.content


def test_each_worker_tells_its_load_and_its_device(api: Client, identity: Identity) -> None:
    device = {"type": "cuda", "name": "H200", "memory_total_mib": 142_000, "memory_used_mib": 900, "utilization": 40}
    make_worker("gpu-1", device=device, warm_models=[{"name": "m", "memory_mib": 800}])
    for status in ("dispatched", "running", "cancelling", "completed"):
        make_task(status, identity, worker="gpu-1")
    shown = api.get("/tasks/workers/stats").json()
    worker = shown["workers"]["gpu-1"]
    assert (shown["total_workers"], shown["online_workers"]) == (1, 1)
    assert (worker["active_tasks"], worker["reserved_tasks"], worker["scheduled_tasks"]) == (2, 1, 0)
    assert (worker["total_load"], worker["slots"], worker["status"], worker["state"]) == (3, 4, "online", "active")
    assert worker["gpus"] == [
        {
            **device,
            "temperature_c": None,
            "power_w": None,
            "ecc_errors": None,
            "xid": None,
            "loaded_models": [{"name": "m", "memory_mib": 800}],
        }
    ]
    assert api.get("/workers/").json() == {"results": [worker]}


# ---------------------------------------------------------------- PATCH and GET /workers/{name}


@pytest.fixture
def operator(organization: Organization) -> Client:
    return client_with(make_key(organization, make_user(organization, staff=True, name="ada")))


def steer(client: Client, body: Any, name: str = "gpu-1") -> Any:
    return client.patch(f"/workers/{name}", body, content_type="application/json")


@pytest.mark.parametrize("state", ["paused", "draining", "retired"])
def test_an_operator_holds_a_worker_back_and_resumes_it(operator: Client, state: str) -> None:
    make_worker("gpu-1")
    told = steer(operator, {"state": state, "reason": "a new fan"}).json()
    assert (told["state"], told["state_change"]["by"], told["state_change"]["reason"]) == (state, "ada", "a new fan")
    assert operator.get("/workers/gpu-1").json() == told
    assert steer(operator, {"state": "active"}).json()["state_change"]["reason"] == ""


def test_to_say_it_twice_changes_nothing(operator: Client) -> None:
    make_worker("gpu-1")
    first = steer(operator, {"state": "paused", "reason": "a new fan"})
    assert steer(operator, {"state": "paused", "reason": "again"}).json() == first.json()


def test_what_was_on_its_way_goes_back_at_once_and_what_runs_goes_on(operator: Client) -> None:
    make_worker("gpu-1")
    waiting, running = (make_task(status, worker="gpu-1") for status in ("dispatched", "running"))
    told = steer(operator, {"state": "draining"}).json()
    assert (told["reserved_tasks"], told["active_tasks"], told["drained"]) == (0, 1, False)
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert (waiting.status, running.status) == ("pending", "running")


def test_to_make_a_worker_active_ends_its_quarantine(operator: Client) -> None:
    make_worker("gpu-1", quarantined_at=timezone.now(), quarantine_reason="a sum came out wrong")
    assert operator.get("/workers/gpu-1").json()["quarantine"]["reason"] == "a sum came out wrong"
    assert steer(operator, {"state": "active"}).json()["quarantine"] is None


def test_a_retired_worker_that_is_gone_leaves_the_lists_and_can_be_resumed(operator: Client) -> None:
    make_worker("gpu-1", heartbeat_at=ago(minutes=5))
    assert steer(operator, {"state": "retired"}).status_code == 200
    assert operator.get("/workers/").json() == {"results": []}
    assert steer(operator, {"state": "active"}).json()["status"] == "lost"


def test_who_is_no_operator_may_look_and_not_touch(api: Client, stranger: Client) -> None:
    make_worker("gpu-1", state="paused", state_by="ada", state_reason="private", state_at=timezone.now())
    for client in (api, stranger):
        error_of(steer(client, {"state": "active"}), 403, "permission_denied")
        shown = client.get("/workers/gpu-1")
        assert (shown.json()["state"], shown.json()["state_change"]) == ("paused", None)
        assert b"private" not in shown.content


@pytest.mark.parametrize("name", ["nobody", "a%00b", "x" * 300])
def test_a_worker_that_nobody_knows_is_a_404(operator: Client, name: str) -> None:
    error_of(operator.get(f"/workers/{name}"), 404, "not_found")
    error_of(steer(operator, {"state": "paused"}, name), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "state"), ({"state": "asleep"}, "state"), ({"state": None}, "state"),
     ({"state": "paused", "reason": "x" * 501}, "reason"), ({"state": "paused", "slots": 9}, "slots")],
)  # fmt: skip
def test_a_wrong_order_names_the_field_and_does_nothing(operator: Client, body: Any, param: str) -> None:
    make_worker("gpu-1")
    assert error_of(steer(operator, body), 400, "invalid_input")["param"] == param
    assert operator.get("/workers/gpu-1").json()["state"] == "active"


# ---------------------------------------------------------------- external pools


def test_an_external_pool_says_so_and_what_it_cannot_stop_takes_a_slot(api: Client, leading: None) -> None:
    make_worker("own", engine_state="ready")
    make_worker("theirs", engine_state="ready", external=True, abandoned=1)
    shown = health(api)
    assert (shown["status"], shown["external_workers"]) == ("healthy", 1)
    assert shown["workers"]["theirs"] == {"status": "online", "external": True}
    assert shown["workers"]["own"] == {"status": "online", "external": False}
    workers = {row["name"]: row for row in api.get("/workers/").json()["results"]}
    assert (workers["theirs"]["external"], workers["theirs"]["abandoned_tasks"]) == (True, 1)
    free = {view.name: view.free_slots for view in rounds.ready(Worker.objects.all(), Counter())}
    assert free == {"own": 4, "theirs": 3}


@pytest.mark.parametrize(("beside", "word"), [(True, "degraded"), (False, "down")])
def test_an_external_pool_that_nobody_is_behind_gets_no_work(
    api: Client, leading: None, beside: bool, word: str
) -> None:
    make_worker("theirs", engine_state="absent", external=True)
    if beside:
        make_worker("own", engine_state="ready")
    assert health(api)["status"] == word
    assert "theirs" not in {view.name for view in rounds.ready(Worker.objects.all(), Counter())}


def test_models_are_listed_without_the_disabled_ones(api: Client, catalogue: None) -> None:
    Model.objects.create(task_type="tts", name="voice-1", enabled=False)
    Model.objects.create(task_type="tts", name="voice-2", limits={"speed": 2}, defaults={"speed": 1.5})
    rows = api.get("/models/?task_type=tts").json()["results"]
    assert [(row["name"], row["is_default"]) for row in rows] == [("simulated", True), ("voice-2", False)]
    assert (rows[1]["limits"], rows[1]["defaults"]) == ({"speed": 2}, {"speed": 1.5})
    assert len(api.get("/models").json()["results"]) == 5


@pytest.mark.parametrize(
    "url",
    [
        "/models/?task_type=x",
        "/workers/?a=1",
        "/workers/x?a=1",
        "/tasks/workers/stats?a=1",
        "/tasks/workers/health?a=1",
    ],
)
def test_a_wrong_parameter_is_refused(api: Client, url: str) -> None:
    error_of(api.get(url), 400, "invalid_input")
