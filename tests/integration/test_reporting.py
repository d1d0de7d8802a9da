"""What the worker's reporter makes of messages that come at the same moment."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from gpu_worker.reporting import Reporter
from tasks_app.transitions import Claim
from tests.factories import dispatch, make_task
from workers_app.services import Registration

pytestmark = pytest.mark.django_db


def nothing(*_: object) -> Any:
    raise AssertionError("not asked in this test")


@pytest.fixture
def reporter() -> Reporter:
    registration = Registration("w", uuid4(), "w@test", 4, ["llm"], [])
    return Reporter(registration, nothing, nothing, nothing, nothing, (1.0, 1.0))


def test_of_two_messages_for_one_attempt_in_one_statement_only_one_is_work(reporter: Reporter) -> None:
    task = make_task()
    attempt = dispatch(task, "w")
    twins = [Claim(task.id, attempt, uuid4()) for _ in range(2)]
    won = [work for work in reporter._claim(twins) if work is not None]
    assert [work.claimed.token in {twin.token for twin in twins} for work in won] == [True]


def test_each_of_several_messages_gets_its_own_work(reporter: Reporter) -> None:
    claims = [Claim(task.id, dispatch(task, "w"), uuid4()) for task in (make_task(), make_task())]
    stranger = Claim(make_task().id, uuid4(), uuid4())
    won = reporter._claim([claims[1], stranger, claims[0]])
    assert [work and work.claimed.token for work in won] == [claims[1].token, None, claims[0].token]
