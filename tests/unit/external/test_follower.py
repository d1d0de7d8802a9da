"""Whom a task is put down to when an external worker is started again under its old name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from celery import states

from gpu_worker.engine.protocol import Finished, ModelSpec, Submit
from gpu_worker.external.flight import Flight
from gpu_worker.external.follower import Follower
from gpu_worker.external.remote import Seen
from gpu_worker.external.roster import Description, Roster

HOST = "w@plain"


@dataclass
class Scripted:
    """What the other side says: the result backend by `state`, the worker by `active` (None: it does not answer)."""

    state: str = states.STARTED
    active: frozenset[str] | None = frozenset()
    asked: list[str] = field(default_factory=list)

    def look(self, request_id: str) -> Seen:
        return Seen(self.state, {"hostname": HOST})

    def where(self, request_ids: Sequence[str], hostnames: Sequence[str]) -> dict[str, dict[str, str]]:
        self.asked += hostnames
        if self.active is None:
            return {}
        return {HOST: {each: "active" for each in request_ids if each in self.active}}


def beat(roster: Roster, pid: int) -> None:
    roster.heard({"type": "worker-heartbeat", "hostname": HOST, "pid": pid, "freq": 2.0, "sw_ver": "5"})


@pytest.fixture
def roster() -> Roster:
    roster = Roster("q", 2.0, lambda _: Description(frozenset({"q"}), "prefork", 2))
    beat(roster, pid=1)
    return roster


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def flight(told: list[Any]) -> Flight:
    spec = ModelSpec("m", "llm", "simulated", memory_mib=0)
    request = Submit(request_id="r", model=spec, input={}, parameters={}, number=1, directory="")
    return Flight(request, told.append)


def failures(told: list[Any]) -> list[str]:
    return [each.outcome.code for each in told if isinstance(each, Finished)]


def test_a_task_that_the_newcomer_runs_is_not_lost_with_the_process_before_it(roster, flight, told):
    remote = Scripted(active=frozenset({"r"}))
    follower = Follower(remote, roster)
    assert follower.follow([flight]) == []  # started by the newcomer, of whom nobody has heard yet
    beat(roster, pid=2)
    assert follower.follow([flight]) == []
    assert (failures(told), flight.peer.pid) == ([], 2)


def test_a_task_that_the_newcomer_does_not_have_is_lost(roster, flight, told):
    follower = Follower(Scripted(), roster)
    assert follower.follow([flight]) == []
    beat(roster, pid=2)
    assert follower.follow([flight]) == [flight]
    assert failures(told) == ["worker_lost"]


def test_while_the_newcomer_does_not_answer_nothing_is_given_up(roster, flight, told):
    remote = Scripted(active=None)
    follower = Follower(remote, roster)
    follower.follow([flight])
    beat(roster, pid=2)
    assert follower.follow([flight]) == []
    remote.active = frozenset()
    assert follower.follow([flight]) == [flight]
    assert failures(told) == ["worker_lost"]
