"""Whatever happens to tasks in whatever order, their rows say what a small reference model says.

LIFE_EXAMPLES=2000 looks for longer than every day.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.contrib.postgres.functions import TransactionNow
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tasks_app import services, transitions
from tasks_app.decisions import Placement
from tasks_app.leases import Beat, renew
from tasks_app.models import Attempt, Task, TaskEvent, UsageRecord
from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Failed, Returned
from tasks_app.states import TRANSITIONS, CancelMode, Status
from tasks_app.transitions import Claim, Claimed, Finish
from tenants_app.ids import uuid7
from tests.factories import make_identity
from tests.integration.life import reference

EXAMPLES = int(os.environ.get("LIFE_EXAMPLES", "80"))
WORKERS = st.sampled_from(["w1", "w2"])
BETWEEN = st.sampled_from(["", "", "cancel", "guess", "lose", "cancel and lose"])
SELDOM = st.sampled_from([False, False, False, True])
OUTCOMES = st.sampled_from(
    [
        Completed({"text": "Hi!"}),
        Failed("invalid_input", "no"),
        Failed("download_failed", "gone"),
        Failed("internal_error", "oops"),
        Cancelled(CancelMode.COOPERATIVE),
        Cancelled(CancelMode.KILLED),
        Returned("stopping"),
        EngineDeath("it died.", alone=True),
        EngineDeath("it died.", alone=False),
    ]
)


class Life(RuleBasedStateMachine):
    """One example is one rolled-back savepoint. PostgreSQL's now() stands still in it; steps move the rows instead."""

    tasks = Bundle("tasks")
    messages = Bundle("messages")  # (task, worker, attempt): late, double or forged ones stay in it
    claims = Bundle("claims")  # of attempts that were won, however long ago

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.identity = make_identity()
        self.known: dict[UUID, reference.Task] = {}
        self.ended: dict[UUID, dict[str, Any]] = {}  # the rows as they ended
        self.before: dict[UUID, str] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)
        transaction.set_rollback(False)

    # ------------------------------------------------------------ what happens

    @rule(target=tasks, max_attempts=st.integers(1, 3), deadline=st.none() | st.just(30.0))
    def submit(self, max_attempts: int, deadline: float | None) -> UUID:
        new = services.NewTask("llm", "simulated", {"prompt": "x"}, max_attempts=max_attempts, start_timeout=deadline)
        task = services.submit(self.identity, new)
        self.known[task.pk] = reference.Task(max_attempts, deadline)
        return self.of_now(task)

    @rule(target=messages, task=tasks, worker=WORKERS)
    def dispatch(self, task: UUID, worker: str) -> tuple[UUID, str, UUID]:
        attempt = uuid7()
        rows = transitions.dispatch([Placement(task, worker, attempt)])
        assert bool(rows) == (self.is_known(task) and self.known[task].dispatch(worker, attempt))
        return task, worker, attempt

    @rule(batch=st.lists(tasks, min_size=2, max_size=4, unique=True), worker=WORKERS)
    def dispatch_many_twice(self, batch: list[UUID], worker: str) -> None:
        """By two leaders that saw the same."""
        for _ in range(2):
            placements = [Placement(task, worker, uuid7()) for task in batch]
            won = {row.id for row in transitions.dispatch(placements)}
            for placed in placements:
                known = self.known.get(placed.task_id)
                assert (placed.task_id in won) == bool(known and known.dispatch(worker, placed.attempt_id))

    @rule(message=messages)
    def take_back(self, message: tuple[UUID, str, UUID]) -> None:
        task, _, attempt = message
        rows = transitions.take_back({task: attempt}, "its worker is gone")
        assert bool(rows) == (self.is_known(task) and self.known[task].take_back(attempt))

    @rule(target=claims, message=messages, reader=WORKERS, twice=st.booleans())
    def claim(self, message: tuple[UUID, str, UUID], reader: str, twice: bool) -> Any:
        """By whoever reads the message, who may ask again when no answer came."""
        task, _, attempt = message
        claim, won = Claim(task, attempt, uuid4()), None
        for _ in range(1 + twice):
            rows = transitions.claim([claim], reader, uuid4())
            expected = self.is_known(task) and self.known[task].claim(
                reader, attempt, claim.token, django_settings.LEASE_SECONDS
            )
            assert bool(rows) == expected
            won = rows[0] if rows else None
        return won if won else multiple()

    @rule(claimed=claims, guessed=SELDOM)
    def beat(self, claimed: Claimed, guessed: bool) -> None:
        token = uuid4() if guessed else claimed.token
        told = renew([Beat(claimed.task_id, claimed.attempt_id, token, "inference", None, None)])
        known = self.known.get(claimed.task_id)
        current = known and known.renew(claimed.attempt_id, token, django_settings.LEASE_SECONDS)
        assert told == ({claimed.attempt_id: known.status} if known and current else {})

    @rule(claimed=claims, outcome=OUTCOMES, stolen=SELDOM, twice=st.booleans(), blindly=st.booleans())
    def finish(self, claimed: Claimed, outcome: Any, stolen: bool, twice: bool, blindly: bool) -> None:
        """In time or late; with a token that was only guessed; and again, when the reply was lost."""
        if not (blindly or self.is_current(claimed)):
            return
        claimed = replace(claimed, token=uuid4()) if stolen else claimed
        for _ in range(1 + twice):
            told = transitions.finish([Finish(claimed, outcome)]).get(claimed.attempt_id)
            known = self.known.get(claimed.task_id)
            assert told == (known.finish(claimed.attempt_id, claimed.token, outcome) if known else None)

    @rule(batch=st.lists(tasks, min_size=1, max_size=3, unique=True))
    def cancel(self, batch: list[UUID]) -> None:
        won = {row.id for row in transitions.request_cancel(batch, "tester")}
        assert won == {task for task in batch if self.is_known(task) and self.known[task].cancel()}

    @rule(
        target=tasks,
        max_attempts=st.integers(1, 3),
        tries=st.lists(st.tuples(OUTCOMES, BETWEEN, st.booleans()), min_size=1, max_size=4),
    )
    def live(self, max_attempts: int, tries: list[tuple[Any, str, bool]]) -> UUID:
        """One try after the other, each with who else wants it, and what comes between its claim and its finish."""
        task = self.submit(max_attempts, None)
        for outcome, between, contested in tries:
            message = self.dispatch(task, "w1")
            if contested:
                self.claim(message, "w2", twice=False)
            claimed = self.claim(message, "w1", twice=contested)
            if contested:
                self.claim(message, "w1", twice=False)
            if not isinstance(claimed, Claimed):
                break
            if "cancel" in between:
                self.cancel([task])
            if "guess" in between:
                self.finish(claimed, outcome, stolen=True, twice=False, blindly=True)
            if "lose" in between:
                self.time_passes(django_settings.LEASE_SECONDS + 1.0)
                self.house_is_kept()
            self.beat(claimed, guessed=contested)
            self.finish(claimed, outcome, stolen=False, twice=contested, blindly=True)
        return task

    @rule(seconds=st.sampled_from([1.0, django_settings.LEASE_SECONDS + 1.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        step = timedelta(seconds=seconds)
        moved = ("lease_expires_at", "start_deadline", "not_before", "sent_at")
        Task.objects.update(**{name: F(name) - step for name in moved})
        for known in self.known.values():
            known.step(seconds)

    @rule()
    def house_is_kept(self) -> None:
        transitions.expire()
        transitions.rescue()
        for known in self.known.values():
            known.expire()
            known.rescue()

    @rule(target=tasks, task=tasks)
    def retry(self, task: UUID) -> UUID:
        row = Task.objects.filter(pk=task).first()
        if row is None or row.status not in reference.FINAL:
            return task
        again = services.retry(self.identity, row)
        known = self.known[task]
        deaths = min(known.deaths, 1)
        self.known[again.pk] = reference.Task(known.max_attempts, row.start_timeout, deaths=deaths)
        return self.of_now(again)

    @precondition(lambda self: len(self.known) > 2)
    @rule(task=consumes(tasks))
    def delete(self, task: UUID) -> None:
        row = Task.objects.filter(pk=task).first()
        if row is not None and row.status in reference.FINAL:
            services.delete(row, "tester")
            assert UsageRecord.objects.filter(pk=task).exists()
            del self.known[task]
            self.ended.pop(task, None)

    # ------------------------------------------------------------ what must hold

    def is_current(self, claimed: Claimed) -> bool:
        known = self.known.get(claimed.task_id)
        return bool(known and known.is_held and known.token == claimed.token)

    def of_now(self, task: Task) -> UUID:
        """As if the clock that made its deadline had stood still too."""
        if task.start_timeout is not None:
            Task.objects.filter(pk=task.pk).update(
                start_deadline=TransactionNow() + timedelta(seconds=task.start_timeout)
            )
        return task.pk

    def is_known(self, task: UUID) -> bool:
        return task in self.known

    @invariant()
    def every_row_says_what_the_reference_says(self) -> None:
        rows = {row.pk: row for row in Task.objects.filter(pk__in=self.known)}
        events: dict[UUID, list[str]] = {}
        for task, seq, kind in (
            TaskEvent.objects.filter(task__in=self.known).order_by("seq").values_list("task", "seq", "type")
        ):
            events.setdefault(task, []).append(kind)
            assert seq == len(events[task])
        attempts: dict[UUID, list[str | None]] = {}
        for task, outcome in (
            Attempt.objects.filter(task__in=self.known).order_by("number").values_list("task", "outcome")
        ):
            attempts.setdefault(task, []).append(outcome)
        for task, known in self.known.items():
            row = rows[task]
            assert _said(row) == _expected(known)
            assert events[task] == known.events
            assert row.last_seq == len(known.events)
            assert attempts.get(task, []) == known.attempts

    @invariant()
    def a_status_moves_along_the_table_and_a_final_row_never_changes(self) -> None:
        for values in Task.objects.filter(pk__in=self.known).values():
            task, status = values["id"], values["status"]
            if task in self.ended:
                frozen = {name: value for name, value in values.items() if name not in MOVED_BY_STEPS}
                assert frozen == self.ended[task]
            elif status in reference.FINAL:
                self.ended[task] = {name: value for name, value in values.items() if name not in MOVED_BY_STEPS}
            before = Status(self.before.get(task, status))
            assert status == before or _reachable(before, Status(status)), (before, status)
            self.before[task] = status


MOVED_BY_STEPS = {"lease_expires_at", "start_deadline", "not_before", "sent_at"}


def _said(row: Task) -> dict[str, Any]:
    return {
        "status": row.status,
        "attempt": row.attempt,
        "free": row.free_attempts,
        "deaths": row.engine_deaths,
        "worker": row.worker if row.status not in reference.FINAL else None,
        "held": row.lease_expires_at is not None,
        "mode": (row.cancellation or {}).get("mode"),
        "code": (row.error or {}).get("code"),
    }


def _expected(known: reference.Task) -> dict[str, Any]:
    return {
        "status": known.status,
        "attempt": known.attempt,
        "free": known.free,
        "deaths": known.deaths,
        "worker": known.worker if known.status not in reference.FINAL else None,
        "held": known.lease is not None,
        "mode": known.mode,
        "code": known.code,
    }


def _reachable(before: Status, after: Status) -> bool:
    """One rule may take several edges: `finish` twice, or house-keeping after it."""
    seen, edge = {before}, {before}
    while edge:
        edge = {following for status in edge for following in TRANSITIONS[status]} - seen
        seen |= edge
    return after in seen


@pytest.mark.django_db
def test_every_life_goes_as_the_reference_says() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=EXAMPLES <= 100,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if EXAMPLES <= 100 else list(Phase),  # a short story is worth minutes only by hand
        ),
    )
