"""GET /usage/: what tasks have cost, exactly, however it is added up."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import services, usage
from tasks_app.models import Task
from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Failed, Measured
from tasks_app.states import CancelMode
from tenants_app.identity import Identity
from tenants_app.models import ApiKey, Organization
from tests.api.conftest import client_with, error_of
from tests.factories import dispatch, end, make_key, make_organization, make_task, make_user, start, take

pytestmark = pytest.mark.django_db
SUMS = ("gpu_seconds", "input_tokens", "output_tokens", "images", "audio_seconds")


def rows(client: Client, **asked: Any) -> list[dict[str, Any]]:
    response = client.get("/usage/", asked)
    assert response.status_code == 200, response.json()
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def measured(random: Random) -> Measured:
    return Measured(
        random.choice([0.0, 1.5]), random.uniform(0, 5), random.randint(0, 99), random.randint(0, 99), 2, 0.5
    )


def one_task(identity: Identity, random: Random) -> Task:
    """Of some model, ended in some way some days ago, perhaps after an attempt that came to nothing."""
    claimed = start(make_task(identity=identity, model=random.choice(["a", "b"])))
    if random.random() < 0.3:
        end(claimed, EngineDeath("it died", alone=False, measured=measured(random)))
        task = Task.objects.get(pk=claimed.task_id)
        dispatch(task)
        claimed = take(task)
    cost = measured(random)
    outcome = random.choice(
        [
            Completed({"text": "x"}, (), cost),
            Failed("poisoned", "x", measured=cost),
            Cancelled(CancelMode.COOPERATIVE, measured=cost),
        ]
    )
    if isinstance(outcome, Cancelled):
        services.cancel(Task.objects.get(pk=claimed.task_id), "x")
    end(claimed, outcome)
    ended = timezone.now() - timedelta(days=random.randint(0, 3))
    Task.objects.filter(pk=claimed.task_id).update(completed_at=ended)
    return Task.objects.get(pk=claimed.task_id)


@pytest.fixture
def world(organization: Organization) -> list[Task]:
    """Ended tasks of two organizations, people and keys; a third of them is deleted."""
    random = Random(7)
    jo = make_user(organization, name="jo")
    make_key(organization, jo)
    key = ApiKey.objects.get(user=jo)
    who = [
        Identity(organization, jo.pk, "jo", api_key_id=key.pk),
        Identity(organization, jo.pk, "jo"),
        Identity(organization, None, "service"),
        Identity(make_organization("other"), None, "theirs"),
    ]
    tasks = [one_task(random.choice(who), random) for _ in range(60)]
    for task in tasks[::3]:
        services.delete(task, "x")
    make_task(identity=who[0])  # one that has not ended counts nowhere
    return tasks


NAMES: dict[str, Callable[[Task], Any]] = {
    "day": lambda task: str(task.completed_at and task.completed_at.astimezone(UTC).date()),
    "organization": lambda task: task.organization.slug,
    "user": lambda task: task.user.get_username() if task.user else None,
    "api_key": lambda task: str(task.api_key_id) if task.api_key_id else None,
    "model": lambda task: task.model,
    "task_type": lambda task: task.task_type,
}


def added_up(tasks: list[Task], group_by: list[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    sums: dict[tuple[Any, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task in tasks:
        group = sums[tuple(NAMES[word](task) for word in group_by)]
        group["tasks"] += 1
        for name in SUMS:
            group[name] += getattr(task, name) or 0
        if task.status == "completed":
            group["completed_tasks"] += 1
            group["load_seconds"] += task.model_load_seconds or 0
            group["inference_seconds"] += task.inference_seconds or 0
    return sums


@pytest.mark.parametrize("words", ["", *NAMES, "day,model", "organization,user,api_key,model,day"])
def test_it_is_what_the_tasks_add_up_to(world: list[Task], organization: Organization, words: str) -> None:
    staff = Client()
    staff.force_login(make_user(organization, staff=True))
    group_by = [word for word in words.split(",") if word]
    told = rows(staff, group_by=words)
    expected = added_up(world, group_by)
    assert {tuple(row[word] for word in group_by) for row in told} == set(expected)
    assert len(told) == len(expected)
    for row in told:
        group = expected[tuple(row[word] for word in group_by)]
        for name in ("tasks", "completed_tasks", "load_seconds", "inference_seconds", *SUMS):
            assert row[name] == pytest.approx(group[name])
        parts = row["load_seconds"] + row["inference_seconds"] + row["wasted_seconds"]
        assert parts == pytest.approx(row["gpu_seconds"])


def test_an_organization_sees_its_own_and_whoever_it_asks_for(world: list[Task], api: Client, stranger: Client) -> None:
    own = [task for task in world if task.organization.slug == "acme"]
    assert rows(api, group_by="organization")[0]["tasks"] == len(own)
    assert rows(api, group_by="organization", organization="other") == []
    assert api.get("/usage/", {"organization": "other"}).json()["total"]["tasks"] == 0
    assert rows(stranger) == []
    answer = api.get("/usage/", {"group_by": "model"}).json()
    assert answer["total"]["tasks"] == len(own)
    assert answer["group_by"] == ["model"]


def test_it_is_narrowed_by_user_key_model_and_time(world: list[Task], api: Client) -> None:
    own = [task for task in world if task.organization.slug == "acme"]
    key = ApiKey.objects.get(user__username="jo")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for asked, kept in (
        ({"user": "jo"}, lambda task: task.user_id),
        ({"user": "nobody"}, lambda task: False),
        ({"api_key": str(key.pk)}, lambda task: task.api_key_id),
        ({"model": "a"}, lambda task: task.model == "a"),
        ({"task_type": "tts"}, lambda task: False),
        ({"from": midnight.date().isoformat()}, lambda task: task.completed_at >= midnight),
        ({"to": midnight.isoformat()}, lambda task: task.completed_at < midnight),
    ):
        told = rows(api, group_by="", **asked)
        assert told[0]["tasks"] == len([task for task in own if kept(task)]), asked
    assert rows(api, group_by="api_key", api_key=str(key.pk))[0]["api_key_name"] == "test"


def read_csv(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_csv_says_the_same(world: list[Task], api: Client) -> None:
    told = rows(api, group_by="day,api_key")
    for response in (
        api.get("/usage/?group_by=day,api_key", headers={"Accept": "text/csv"}),
        api.get("/usage/?group_by=day,api_key&format=csv"),
    ):
        assert read_csv(response) == [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in told
        ]


def test_csv_of_nothing_still_names_its_columns(api: Client) -> None:
    content = api.get("/usage/?group_by=model&format=csv").content.decode()
    assert content.startswith("model,tasks,completed_tasks,gpu_seconds,")


def test_csv_runs_nothing_in_a_spreadsheet(identity: Identity, api: Client) -> None:
    end(start(make_task(identity=identity, model="=1+1")), Completed({"text": "x"}))
    assert read_csv(api.get("/usage/?group_by=model&format=csv"))[0]["model"] == "'=1+1"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"group_by": "day,colour"}, "group_by"),
        ({"group_by": "day,day"}, "group_by"),
        ({"group_by": "1; DROP TABLE x"}, "group_by"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "from"),
        ({"api_key": "x"}, "api_key"),
        ({"window": "1h"}, "window"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_a_wrong_question_is_refused_by_name(api: Client, asked: dict[str, str], param: str, accept: str) -> None:
    response = api.get("/usage/", asked, headers={"Accept": accept})
    assert error_of(response, 400, "invalid_input")["param"] == param


def test_an_answer_without_end_is_refused(world: list[Task], api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MAX_ROWS", 1)
    error_of(api.get("/usage/?group_by=day,model"), 400, "invalid_input")


def test_a_key_that_only_writes_may_not_ask(organization: Organization) -> None:
    key = make_key(organization)
    ApiKey.objects.filter(prefix=key.split("_")[1]).update(scopes=["tasks:write"])
    error_of(client_with(key).get("/usage/?format=csv"), 403, "permission_denied")
