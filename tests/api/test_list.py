"""GET /tasks/."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks_app import selectors
from tasks_app.models import Task
from tasks_app.states import Status
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import make_key, make_task, make_user

pytestmark = pytest.mark.django_db


def ids(client: Client, **query: Any) -> list[str]:
    response = client.get("/tasks/", query)
    assert response.status_code == 200, response.json()
    return [task["task_id"] for task in response.json()["results"]]


def of(tasks: Sequence[Task]) -> list[str]:
    return [str(task.pk) for task in tasks]


def test_the_newest_task_comes_first_and_other_organizations_do_not_show(api: Client, identity: Identity) -> None:
    make_task()
    tasks = [make_task(identity=identity) for _ in range(3)]
    assert ids(api) == of(tasks[::-1])


def test_an_empty_list_has_no_neighbours(api: Client) -> None:
    assert api.get("/tasks/").json() == {"results": [], "next": None, "previous": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_the_pages_walk_over_every_task_once_and_back(api: Client, identity: Identity, limit: int) -> None:
    tasks = of([make_task(identity=identity) for _ in range(7)])[::-1]
    url: str | None = f"/tasks/?limit={limit}"
    pages = []
    while url:
        page = api.get(url).json()
        pages.append([task["task_id"] for task in page["results"]])
        url, previous = page["next"], page["previous"]
    assert list(itertools.chain(*pages)) == tasks
    back = pages[-1:]
    while previous:
        page = api.get(previous).json()
        back.insert(0, [task["task_id"] for task in page["results"]])
        previous = page["previous"]
    assert list(itertools.chain(*back)) == tasks


def test_a_task_that_comes_meanwhile_moves_no_page(api: Client, identity: Identity) -> None:
    tasks = of([make_task(identity=identity) for _ in range(4)])[::-1]
    first = api.get("/tasks/?limit=2").json()
    make_task(identity=identity)
    assert [task["task_id"] for task in api.get(first["next"]).json()["results"]] == tasks[2:]


def test_pages_keep_their_filters(api: Client, identity: Identity) -> None:
    wanted = [make_task("cancelled", identity) for _ in range(3)]
    make_task(identity=identity)
    page = api.get("/tasks/?limit=2&status=cancelled&status=failed").json()
    assert page["next"].startswith("http://testserver/tasks/?")
    assert [task["task_id"] for task in api.get(page["next"]).json()["results"]] == of(wanted[:1])


@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        (["pending"], ["pending"]),
        (["pending", "failed"], ["pending", "failed"]),
        (["PENDING"], ["pending"]),
        (["RECEIVED"], ["dispatched"]),
        (["STARTED"], ["running", "cancelling"]),
        (["SUCCESS"], ["completed"]),
        (["FAILURE"], ["failed", "expired"]),
        (["REVOKED", "SUCCESS"], ["cancelled", "completed"]),
    ],
)
def test_the_status_is_asked_for_in_our_words_or_celerys(
    api: Client, identity: Identity, words: list[str], statuses: list[str]
) -> None:
    tasks = {status: str(make_task(status, identity).pk) for status in Status}
    assert set(ids(api, status=words)) == {tasks[Status(status)] for status in statuses}


def test_each_filter_finds_what_it_names(api: Client, identity: Identity, organization: Organization) -> None:
    batch, jo = uuid4(), make_user(organization, name="jo")
    other = make_task(identity=identity)
    task = make_task("running", Identity(organization, jo.pk, "jo"), task_type="tts", model="voice-1", worker="gpu-1")
    Task.objects.filter(pk=task.pk).update(batch_id=batch, created_at=task.created_at)
    filters = {"task_type": "tts", "model": "voice-1", "worker_id": "gpu-1", "batch_id": str(batch), "user": "jo"}
    for name, value in filters.items():
        assert ids(api, **{name: value}) == of([task]), name
    assert ids(api, **filters) == of([task])
    assert ids(api, task_type="llm") == of([other])
    assert ids(api, user="nobody") == []


def test_times_narrow_the_list_on_both_sides(api: Client, identity: Identity) -> None:
    first, second, third = (make_task(identity=identity) for _ in range(3))
    assert ids(api, created_after=first.created_at.isoformat()) == of([third, second])
    assert ids(api, created_before=third.created_at.isoformat()) == of([second, first])
    both = {"created_after": first.created_at.isoformat(), "created_before": third.created_at.isoformat()}
    assert ids(api, **both) == of([second])
    assert ids(api, created_after=(timezone.now() + timedelta(hours=1)).isoformat()) == []
    assert len(ids(api, created_after="1970-01-01")) == 3


def test_a_search_finds_a_part_of_the_text_or_the_beginning_of_the_id(
    api: Client, identity: Identity, stranger: Client
) -> None:
    fox = make_task(identity=identity, input={"prompt": "A Red Fox"})
    chat = make_task(identity=identity, input={"messages": [{"role": "user", "content": "quick brown hare"}]})
    voice = make_task(identity=identity, task_type="tts", input={"text": "50% of_all"})
    assert ids(api, q="red fox") == of([fox])
    assert ids(api, q="brown") == of([chat])
    assert ids(api, q="50% of_all") == of([voice])
    assert ids(api, q="5_%") == []
    assert ids(api, q=str(fox.pk)) == ids(api, q=str(fox.pk).upper()) == of([fox])
    assert set(ids(api, q=str(fox.pk)[:8])) == set(of([fox, chat, voice]))
    assert ids(stranger, q=str(fox.pk)) == []


def test_a_search_looks_only_at_the_newest_tasks(
    api: Client, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (make_task(identity=identity, input={"prompt": "a red fox"}) for _ in range(2))
    assert ids(api, q="fox") == of([new, old])
    monkeypatch.setattr(selectors, "SEARCHED_ROWS", 1)
    assert ids(api, q="fox") == of([new])


@pytest.mark.parametrize(
    "query",
    [
        "status=burning", "status=", "task_type=video", "task_type=", "model=", "model=%00", f"q={'x' * 201}",
        "batch_id=1", "limit=0", "limit=201", "limit=x", "limit=%C2%B2", "before=1", "after=x", "created_after=monday",
        "created_after=0001-01-01T00:00:00Z", "created_before=9999-12-31T23:59:59-10:00", "created_before=", "page=2",
        "created_after=2026-02-30T00:00:00Z", "user=", "worker_id=",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused_and_named(api: Client, query: str) -> None:
    assert error_of(api.get(f"/tasks/?{query}"), 400, "invalid_input")["param"] == query.partition("=")[0]


def test_a_member_of_staff_sees_every_organization_and_others_only_theirs(organization: Organization) -> None:
    make_task()
    own = make_task(identity=Identity(organization, None, "x"))
    staff, plain = Client(), Client()
    staff.force_login(make_user(organization, staff=True))
    plain.force_login(make_user(organization))
    assert len(ids(staff)) == 2
    assert ids(plain) == of([own])


def test_a_page_costs_the_same_queries_however_long_it_is(
    api: Client, identity: Identity, organization: Organization
) -> None:
    jo = Identity(organization, make_user(organization).pk, "jo")
    for _ in range(5):
        make_task("completed", jo)
    ids(api)  # the key is looked up once
    with CaptureQueriesContext(connection) as captured:
        assert len(ids(api)) == 5
    assert len(captured) == 2


def test_the_key_decides_whose_tasks_are_listed_even_beside_a_session(organization: Organization) -> None:
    make_task()
    client = Client(headers={"Authorization": f"Bearer {make_key(organization)}"})
    client.force_login(make_user(organization, staff=True))
    assert ids(client) == []
