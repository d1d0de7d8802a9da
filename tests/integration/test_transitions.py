"""Every edge of the state machine, and the loser of every race, on a real PostgreSQL."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_celery_results.models import TaskResult

from tasks_app import transitions
from tasks_app.decisions import Placement
from tasks_app.leases import Beat, renew
from tasks_app.models import Artifact, Attempt, Task
from tasks_app.outcomes import Cancelled, Completed, EngineDeath, Failed, Measured, Returned, StoredArtifact
from tasks_app.states import ACTIVE, FINAL, TRANSITIONS, CancelMode, Status
from tasks_app.transitions import Claim
from tenants_app.ids import uuid7
from tests.factories import dispatch, end, make_task, make_worker, start
from workers_app.models import Worker

pytestmark = pytest.mark.django_db
DONE = Completed({"text": "done", "finish_reason": "stop"})
CRASH = Failed("engine_crashed", "the engine died")


def fresh(task: Task) -> Task:
    return Task.objects.get(pk=task.pk)


def event_types(task: Task) -> list[str]:
    return list(task.events.values_list("type", flat=True))


def lose_lease(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


# ---------------------------------------------------------------- the way of a task


def test_a_task_that_completes_has_every_step_in_its_log():
    task = make_task("completed")
    assert event_types(task) == ["task.created", "task.dispatched", "task.started", "task.completed"]
    assert list(task.events.values_list("seq", flat=True)) == [1, 2, 3, 4]


def test_completion_stores_result_measures_and_artifacts_together():
    task = make_task("running")
    claimed = start(make_task())
    stored = StoredArtifact(uuid7(), "ab/x.png", "image/png", 10, "0" * 64)
    end(claimed, Completed({"images": []}, (stored,), Measured(1.0, 2.0, images=1)))
    done = Task.objects.get(pk=claimed.task_id)
    assert (done.status, done.gpu_seconds, done.images) == ("completed", 3.0, 1)
    assert Artifact.objects.get(task=done).id == stored.id
    assert fresh(task).status == "running"


def test_a_finished_attempt_is_readable_by_celerys_own_tools():
    claimed = start(make_task())
    end(claimed, CRASH)
    row = TaskResult.objects.get(task_id=str(claimed.attempt_id))
    assert (row.status, row.task_name) == ("FAILURE", "app.tasks.run_llm_inference")


def test_queue_time_is_counted_from_the_time_it_could_have_run():
    task = make_task(run_at=timezone.now() - timedelta(seconds=2))
    Task.objects.filter(pk=task.pk).update(created_at=timezone.now() - timedelta(seconds=60))
    start(task)
    assert 1 < fresh(task).queue_seconds < 10


# ---------------------------------------------------------------- dispatch and claim


def test_a_task_is_placed_once_when_two_leaders_place_it():
    task = make_task()
    assert len(transitions.dispatch([Placement(task.id, "a", uuid7())])) == 1
    assert transitions.dispatch([Placement(task.id, "b", uuid7())]) == []
    assert fresh(task).worker == "a"


def test_only_the_first_of_two_claims_gets_the_attempt():
    task = make_task()
    attempt = dispatch(task, "w")
    first = transitions.claim([Claim(task.id, attempt, uuid4())], "w", uuid4())
    second = transitions.claim([Claim(task.id, attempt, uuid4())], "w", uuid4())
    assert (len(first), second) == (1, [])
    assert event_types(task).count("task.started") == 1


def test_a_claim_whose_reply_was_lost_is_recognised_and_starts_nothing_twice():
    task = make_task()
    claim = Claim(task.id, dispatch(task, "w"), uuid4())
    [first] = transitions.claim([claim], "w", uuid4())
    [again] = transitions.claim([claim], "w", uuid4())
    assert again == first
    assert task.attempts.count() == 1


@pytest.mark.parametrize("wrong", ["worker", "attempt", "task"])
def test_a_message_that_is_not_for_this_worker_claims_nothing(wrong):
    task = make_task()
    attempt = dispatch(task, "w")
    claim = Claim(uuid7() if wrong == "task" else task.id, uuid7() if wrong == "attempt" else attempt, uuid4())
    assert transitions.claim([claim], "other" if wrong == "worker" else "w", uuid4()) == []
    assert fresh(task).status == "dispatched"


def test_a_message_of_a_dispatch_that_was_taken_back_claims_nothing():
    task = make_task()
    attempt = dispatch(task, "w")
    assert transitions.take_back({task.id: attempt}, "gone")
    assert transitions.claim([Claim(task.id, attempt, uuid4())], "w", uuid4()) == []
    assert (fresh(task).status, fresh(task).attempt) == ("pending", 0)


def test_a_claimed_task_is_not_taken_back():
    claimed = start(make_task())
    assert transitions.take_back({claimed.task_id: claimed.attempt_id}, "gone") == []


def test_many_tasks_move_in_one_statement(django_assert_max_num_queries):
    placements = [Placement(make_task().id, "w", uuid7()) for _ in range(20)]
    with django_assert_max_num_queries(4):  # the savepoint of the test's transaction, the update, the events
        assert len(transitions.dispatch(placements)) == 20


# ---------------------------------------------------------------- finish


@pytest.mark.parametrize(
    "values", [{"state": "paused"}, {"state": "retired"}, {"quarantined_at": timezone.now()}, {"incarnation": uuid4()}],
    ids=["paused", "retired", "quarantined", "another process has its name"],
)  # fmt: skip
def test_a_worker_that_is_to_take_no_work_cannot_claim_any(values):
    worker, task = make_worker("gpu-1"), make_task()
    claim = Claim(task.id, dispatch(task, "gpu-1"), uuid4())
    Worker.objects.filter(pk="gpu-1").update(**values)
    assert transitions.claim([claim], "gpu-1", worker.incarnation) == []
    assert fresh(task).status == "dispatched"


def test_a_stale_finisher_changes_nothing():
    task = make_task()
    stale = start(task)
    lose_lease(task)
    transitions.rescue()
    Task.objects.filter(pk=task.pk).update(not_before=None)
    current = start(task)
    assert end(stale, DONE) is None
    assert fresh(task).status == "running"
    assert end(current, DONE) == "completed"


def test_a_finish_whose_reply_was_lost_is_recognised_as_ones_own():
    claimed = start(make_task())
    assert end(claimed, DONE) == "completed"
    assert end(claimed, DONE) == "completed"
    assert Task.objects.get(pk=claimed.task_id).events.count() == 4


def test_a_finish_with_a_stolen_attempt_id_but_without_the_token_is_refused():
    claimed = start(make_task())
    assert end(replace(claimed, token=uuid4()), DONE) is None


def test_a_failure_of_the_infrastructure_goes_back_to_the_queue_with_a_backoff():
    task = make_task()
    assert end(start(task, "w"), CRASH) == "pending"
    again = fresh(task)
    assert again.not_before > again.events.latest("seq").at
    assert (again.avoid_worker, again.worker, again.error) == ("w", None, None)
    assert event_types(task)[-1] == "task.retrying"


def test_attempts_end_at_their_maximum():
    task = make_task(max_attempts=2)
    assert end(start(task), CRASH) == "pending"
    assert end(start(task), CRASH) == "failed"
    assert fresh(task).error == {
        "code": "engine_crashed", "message": "the engine died", "param": None, "detail": "", "attempt": 2,
    }  # fmt: skip


def test_bad_input_is_never_tried_again():
    assert end(start(make_task()), Failed("invalid_input", "no", "input.prompt")) == "failed"


def test_work_given_back_by_a_stopping_worker_costs_no_attempt():
    task = make_task(max_attempts=1)
    assert end(start(task), Returned("stopping")) == "pending"
    assert end(start(task), CRASH) == "failed"
    assert (fresh(task).attempt, fresh(task).free_attempts) == (2, 1)


def test_work_that_a_worker_does_not_know_avoids_it_and_comes_back_less_and_less_often(settings):
    settings.RETRY_BACKOFF_SECONDS = 10.0
    task = make_task(max_attempts=1)
    pauses = []
    for _ in range(3):
        began = timezone.now()
        assert end(start(task, "old"), Returned("unknown", unable=True)) == "pending"
        pauses.append((fresh(task).not_before - began).total_seconds())
    assert [5 <= pauses[0] < 11, 10 <= pauses[1] < 21, 20 <= pauses[2] < 41] == [True] * 3
    assert (fresh(task).attempt, fresh(task).free_attempts, fresh(task).avoid_worker) == (3, 3, "old")


def test_what_celery_wrote_about_a_message_that_a_worker_did_not_know_does_not_stop_the_attempt():
    task = make_task()
    attempt_id = dispatch(task)
    TaskResult.objects.create(task_id=str(attempt_id), status="FAILURE", task_name="unregistered")
    [claimed] = transitions.claim([Claim(task.id, attempt_id, uuid4())], "worker-x", uuid4())
    assert end(claimed, DONE) == "completed"
    assert TaskResult.objects.get(task_id=str(attempt_id)).status == "SUCCESS"


def test_a_task_under_which_an_engine_died_alone_is_charged_and_runs_alone_from_now_on():
    task = make_task()
    assert end(start(task, "w"), EngineDeath("it died.", alone=True)) == "pending"
    assert (fresh(task).free_attempts, fresh(task).avoid_worker) == (0, "w")
    assert fresh(task).attempts.get().error["code"] == "engine_crashed"
    assert start(task, "w").is_suspect


def test_a_death_among_several_costs_nobody_an_attempt():
    task = make_task(max_attempts=1)
    assert end(start(task), EngineDeath("it died.", alone=False)) == "pending"
    assert (fresh(task).attempt, fresh(task).free_attempts, fresh(task).engine_deaths) == (1, 1, 1)
    assert end(start(task), DONE) == "completed"


@pytest.mark.parametrize("alone", [True, False])
def test_the_second_engine_that_dies_under_a_task_is_the_last(alone):
    task = make_task(max_attempts=10)
    assert end(start(task), EngineDeath("it died.", alone)) == "pending"
    assert end(start(task), EngineDeath("it died again.", alone=True)) == "failed"
    assert fresh(task).error["code"] == "poisoned"
    assert fresh(task).error["message"].startswith("it died again. It was the second engine")
    assert fresh(task).events.latest("seq").data["code"] == "poisoned"


def test_other_failures_between_two_deaths_do_not_clear_a_task():
    task = make_task(max_attempts=10)
    outcomes = [
        EngineDeath("one", True),
        Failed("download_failed", "x"),
        Returned("stopping"),
        EngineDeath("two", True),
    ]
    assert [end(start(task), outcome) for outcome in outcomes] == ["pending", "pending", "pending", "failed"]


def test_a_task_that_was_asked_to_stop_when_its_engine_died_is_cancelled_and_says_that_it_was_lost():
    task = make_task()
    claimed = start(task)
    transitions.request_cancel([task.id], "tester")
    assert end(claimed, EngineDeath("it died.", alone=True)) == "cancelled"
    assert fresh(task).cancellation["mode"] == "lost"


def test_a_failure_that_is_nobodys_may_come_back_to_the_same_worker():
    task = make_task()
    assert end(start(task, "w"), Failed("download_failed", "404")) == "pending"
    assert fresh(task).avoid_worker is None


def test_gpu_seconds_add_up_over_the_attempts():
    task = make_task()
    end(start(task), Failed("engine_crashed", "x", measured=Measured(1.0, 2.0)))
    end(start(task), Completed({}, measured=Measured(0.0, 4.0)))
    assert fresh(task).gpu_seconds == 7.0


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("status", ["pending", "dispatched"])
def test_what_has_not_started_is_dequeued(status):
    task = make_task(status)
    [row] = transitions.request_cancel([task.id], "me")
    assert row.status == "cancelled"
    assert fresh(task).cancellation["mode"] == "dequeued"


def test_a_cancelled_dispatch_is_never_started():
    task = make_task()
    attempt = dispatch(task, "w")
    transitions.request_cancel([task.id], "me")
    assert transitions.claim([Claim(task.id, attempt, uuid4())], "w", uuid4()) == []


def test_a_running_task_is_asked_to_stop_once():
    task = make_task("running")
    assert transitions.request_cancel([task.id], "me")[0].status == "cancelling"
    assert transitions.request_cancel([task.id], "me") == []


def test_a_cooperative_stop_keeps_the_partial_result_and_its_times():
    task = make_task()
    claimed = start(task)
    transitions.request_cancel([task.id], "me")
    assert end(claimed, Cancelled(CancelMode.COOPERATIVE, timezone.now(), {"text": "half"})) == "cancelled"
    done = fresh(task)
    assert done.result == {"text": "half"}
    assert done.cancellation["mode"] == "cooperative"
    assert done.cancellation["requested_at"] <= done.cancellation["stopped_at"]


def test_a_finish_that_beats_the_cancel_is_told_truthfully():
    task = make_task()
    claimed = start(task)
    transitions.request_cancel([task.id], "me")
    assert end(claimed, DONE) == "completed"
    assert fresh(task).result == DONE.result


def test_a_cancel_that_comes_after_the_finish_changes_nothing():
    task = make_task("completed")
    assert transitions.request_cancel([task.id], "me") == []
    assert fresh(task).status == "completed"


@pytest.mark.parametrize("outcome", [CRASH, Returned("stopping"), Failed("invalid_input", "no")])
def test_a_task_that_was_asked_to_stop_is_never_tried_again(outcome):
    task = make_task()
    claimed = start(task)
    transitions.request_cancel([task.id], "me")
    assert end(claimed, outcome) == "cancelled"
    assert fresh(task).error is None


# ---------------------------------------------------------------- leases and rescue


def test_a_beat_renews_the_lease_and_tells_of_a_cancel():
    task = make_task()
    claimed = start(task)
    lose_lease(task)
    before = fresh(task).lease_expires_at
    transitions.request_cancel([task.id], "me")
    beat = Beat(task.id, claimed.attempt_id, claimed.token, "inference", {"fraction": 0.5}, 0.1)
    assert renew([beat]) == {claimed.attempt_id: "cancelling"}
    assert fresh(task).progress == {"fraction": 0.5}
    assert fresh(task).lease_expires_at > before


def test_a_beat_of_a_lost_attempt_comes_back_empty():
    task = make_task()
    claimed = start(task)
    lose_lease(task)
    transitions.rescue()
    assert renew([Beat(task.id, claimed.attempt_id, claimed.token, "inference", None, None)]) == {}


def test_a_live_lease_is_not_rescued():
    make_task("running")
    assert transitions.rescue() == []


def test_a_lost_worker_gives_its_task_back():
    task = make_task()
    claimed = start(task, "lost")
    lose_lease(task)
    assert transitions.rescue()[0].status == "pending"
    attempt = Attempt.objects.get(pk=claimed.attempt_id)
    assert (attempt.outcome, attempt.error["code"]) == ("lost", "worker_lost")
    assert fresh(task).avoid_worker == "lost"


def test_an_attempt_that_cost_nothing_does_not_count_when_the_next_worker_is_lost():
    task = make_task(max_attempts=2)
    assert end(start(task), Returned("stopping")) == "pending"
    start(task, "lost")
    lose_lease(task)
    assert transitions.rescue()[0].status == "pending"


def test_a_worker_that_comes_back_frees_what_its_earlier_process_ran_and_nothing_else():
    earlier, now = start(make_task(), "gpu-1"), make_worker("gpu-1").incarnation
    mine, elsewhere = start(make_task(), "gpu-1"), start(make_task(), "gpu-2")
    assert [row.id for row in transitions.rescue_from_earlier("gpu-1", now)] == [earlier.task_id]
    attempt = Attempt.objects.get(pk=earlier.attempt_id)
    assert (attempt.outcome, attempt.error["code"]) == ("lost", "worker_lost")
    assert end(earlier, DONE) is None  # the earlier process may live: whatever it says comes too late
    assert (end(mine, DONE), end(elsewhere, DONE)) == (Status.COMPLETED, Status.COMPLETED)


def test_what_was_asked_to_stop_is_cancelled_when_its_worker_comes_back():
    task = make_task("cancelling", worker="gpu-1")
    [row] = transitions.rescue_from_earlier("gpu-1", uuid4())
    assert (row.status, fresh(task).cancellation["mode"]) == ("cancelled", "lost")


def test_a_task_that_lost_all_its_workers_fails_with_worker_lost():
    task = make_task(max_attempts=1)
    start(task, "lost")
    lose_lease(task)
    assert transitions.rescue()[0].status == "failed"
    assert fresh(task).error["code"] == "worker_lost"


def test_a_lost_task_that_was_asked_to_stop_is_cancelled_and_not_run_again():
    task = make_task("cancelling")
    lose_lease(task)
    assert transitions.rescue()[0].status == "cancelled"
    assert fresh(task).cancellation["mode"] == "lost"


def test_the_start_deadline_expires_only_what_waits():
    late, running = make_task(start_timeout=1), make_task("running", start_timeout=1)
    Task.objects.update(start_deadline=timezone.now() - timedelta(seconds=1))
    assert [row.id for row in transitions.expire()] == [late.id]
    assert (fresh(late).status, fresh(running).status) == ("expired", "running")


# ---------------------------------------------------------------- the database repeats the rules


@pytest.mark.parametrize("status", sorted(Status))
def test_every_status_is_reachable(status):
    assert make_task(status).status == status


def test_the_transitions_use_only_edges_of_the_table():
    """Walk each way and compare the consecutive statuses that the log tells with the table."""
    words = {
        "task.created": "pending", "task.dispatched": "dispatched", "task.started": "running",
        "task.cancelling": "cancelling", "task.retrying": "pending", "task.requeued": "pending",
    }  # fmt: skip
    for status in Status:
        task = make_task(status)
        seen = [Status(words.get(kind, kind.removeprefix("task."))) for kind in event_types(task)]
        for before, after in itertools.pairwise(seen):
            assert after in TRANSITIONS[before], (before, after)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "nonsense"},
        {"status": "completed"},
        {"status": "running"},
        {"status": "dispatched"},
        {"priority": 11},
        {"priority": 0},
        {"completed_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"attempt": 4},
        {"worker": "w"},
    ],
    ids=str,
)
def test_the_database_refuses_a_row_that_breaks_an_invariant(values):
    task = make_task()
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(**values)


def test_final_and_active_states_cover_everything():
    assert set(Status) == FINAL | ACTIVE
