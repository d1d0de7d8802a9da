"""The policy is pure: who waits, who is free and what was used decide who goes where."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks_app.scheduling.learning import Learnt, Times
from tasks_app.scheduling.placement import capable
from tasks_app.scheduling.policy import AVOID_SECONDS, PATIENCE_SECONDS, plan
from tasks_app.scheduling.snapshot import (
    PASSED_OVER,
    Busy,
    Loaded,
    ModelKey,
    ModelView,
    OrganizationView,
    Paused,
    Plan,
    Queue,
    Snapshot,
    WaitingTask,
    WaitReason,
    WorkerView,
)
from tasks_app.scheduling.turns import AGEING_SECONDS, URGENCY_SECONDS

KINDS = frozenset({"llm", "tts"})
ACME, ZEBRA = UUID(int=1), UUID(int=2)
CHAT = ModelKey("llm", "chat")


def waiting(number: int, **values: Any) -> WaitingTask:
    return replace(WaitingTask(UUID(int=number), "llm", "chat", 5, organization=ACME, since=float(number)), **values)


def worker(name: str = "a", free: int = 1, *, warm: str = "", **values: Any) -> WorkerView:
    loaded = tuple(Loaded(model, 10) for model in warm.split())
    return replace(WorkerView(name, KINDS, slots=4, free_slots=free, warm=loaded), **values)


def grouped(tasks: Iterable[WaitingTask]) -> list[Queue]:
    queues = defaultdict(list)
    for task in sorted(tasks, key=lambda task: (task.since, task.task_id)):
        queues[task.queue_key].append(task)
    return list(queues.values())


def made(tasks: Iterable[WaitingTask], workers: Iterable[WorkerView], **values: Any) -> Plan:
    return plan(Snapshot(values.pop("now", 100.0), grouped(tasks), list(workers), **values))


def order(of: Plan) -> list[int]:
    return [choice.task.task_id.int for choice in of.choices]


def placed(of: Plan) -> dict[int, str]:
    return {choice.task.task_id.int: choice.worker for choice in of.choices}


def reasons(of: Plan) -> set[WaitReason]:
    return set(of.waits.values())


def times(run: float = 10.0, load: float = 10.0, *models: str) -> Times:
    learnt = Learnt(10, run, run / 4, 10, load)
    return Times({("llm", model, ""): learnt for model in models or ("chat", "other", "third")}.items())


# ---------------------------------------------------------------- whose turn it is


def test_the_more_urgent_goes_first_and_the_older_among_equals():
    tasks = [waiting(3), waiting(2), waiting(9, priority=10), waiting(1, priority=1)]
    assert order(made(tasks, [worker(free=4)])) == [9, 2, 3, 1]


def test_a_level_of_priority_is_worth_a_minute_of_age():
    urgent = waiting(2, priority=6, since=AGEING_SECONDS + 1)
    assert order(made([waiting(1, since=0.0), urgent], [worker()])) == [1]
    assert order(made([waiting(1, since=2.0), urgent], [worker()])) == [2]


def test_the_organization_that_used_less_goes_first():
    used = {ACME: OrganizationView(virtual=50.0), ZEBRA: OrganizationView(virtual=49.0)}
    tasks = [waiting(1), waiting(2, organization=ZEBRA)]
    assert order(made(tasks, [worker()], organizations=used)) == [2]


def test_urgency_lets_an_organization_run_ahead_but_not_for_good():
    tasks = [waiting(1, priority=6), waiting(2, organization=ZEBRA)]
    for ahead, first in ((URGENCY_SECONDS - 1, 1), (URGENCY_SECONDS + 1, 2)):
        used = {ACME: OrganizationView(virtual=ahead)}
        assert order(made(tasks, [worker()], organizations=used)) == [first]


def test_the_user_that_used_less_goes_first_inside_an_organization():
    tasks = [waiting(1, user=1), waiting(2, user=2)]
    assert order(made(tasks, [worker()], users={(ACME, 1): 5.0, (ACME, 2): 4.0})) == [2]


def test_what_is_placed_counts_at_once_so_a_round_is_shared_by_weight():
    tasks = [waiting(n, organization=org) for n, org in enumerate(10 * [ACME, ZEBRA], start=1)]
    weights = {ACME: OrganizationView(weight=3.0)}
    result = made(tasks, [worker(free=8, warm="chat")], organizations=weights, times=times())
    assert Counter(choice.task.organization for choice in result.choices) == {ACME: 6, ZEBRA: 2}


# ---------------------------------------------------------------- where it goes


def test_only_free_slots_are_filled():
    result = made([waiting(n) for n in range(1, 6)], [worker(free=2)])
    assert placed(result) == {1: "a", 2: "a"}
    assert reasons(result) == {WaitReason.NO_FREE_SLOT}


def test_a_worker_takes_only_as_many_of_a_model_as_it_gains_from_and_others_beside_them():
    speech = [waiting(n, task_type="tts", model="voice", per_worker=2) for n in range(1, 4)]
    view = worker(free=3, slots=4, busy=(Busy("voice", 5.0, "tts"),))
    result = made([*speech, waiting(9)], [view])
    assert placed(result) == {1: "a", 9: "a"}
    assert reasons(result) == {WaitReason.NO_FREE_MODEL_SLOT}


def test_a_model_of_the_same_name_and_another_type_takes_none_of_its_slots():
    view = worker(free=3, busy=(Busy("chat", 5.0, "tts"),))
    assert placed(made([waiting(1, per_worker=1)], [view])) == {1: "a"}


def test_what_one_worker_does_not_take_goes_to_the_next():
    tasks = [waiting(n, per_worker=1) for n in range(1, 4)]
    assert placed(made(tasks, [worker("a", free=4), worker("b", free=4)])) == {1: "a", 2: "b"}


def test_it_is_worth_waiting_for_room_among_its_own_on_a_warm_worker():
    warm = worker("warm", free=3, warm="chat", busy=(Busy("chat", 5.0, "llm"), Busy("other", 1.0, "llm")))
    for load, expected in ((10.0, {}), (4.0, {1: "cold"})):
        result = made([waiting(1, per_worker=1)], [worker("cold"), warm], times=times(load=load))
        assert placed(result) == expected
        assert reasons(result) == (set() if expected else {WaitReason.WARM_WORKER_SOON})


def test_more_wait_among_their_own_only_as_long_as_that_is_faster_than_a_load():
    warm = worker("warm", free=3, warm="chat", busy=(Busy("chat", 1.0, "llm"),))
    tasks = [waiting(n, per_worker=1) for n in range(1, 6)]
    result = made(tasks, [worker("cold", free=4), warm], times=times(run=4.0, load=10.0))
    assert placed(result) == {4: "cold"}  # the others at 1, 5 and 9 seconds, and the fifth after them


def test_an_external_pool_takes_any_number_of_a_model():
    tasks = [waiting(n, per_worker=1) for n in range(1, 4)]
    assert len(placed(made(tasks, [worker(free=4, bounds_models=False)]))) == 3


def test_a_warm_worker_is_preferred_to_an_emptier_cold_one():
    assert placed(made([waiting(1)], [worker("cold", free=4), worker("warm", warm="chat")])) == {1: "warm"}


def test_the_least_loaded_is_chosen_among_equals():
    assert placed(made([waiting(1)], [worker("busy"), worker("idle", free=4)])) == {1: "idle"}


def test_room_in_memory_is_preferred_to_an_eviction():
    full = worker("a", free=4, warm="third", memory_total_mib=10)
    assert placed(made([waiting(1, memory_mib=10)], [full, worker("b", memory_total_mib=10)])) == {1: "b"}


def test_a_model_with_a_second_copy_is_evicted_rather_than_an_only_one():
    workers = [worker(name, warm=model, memory_total_mib=10) for name, model in ("ax", "by", "cy")]
    assert placed(made([waiting(1, memory_mib=10)], workers))[1] in {"b", "c"}


def test_a_model_at_work_is_never_evicted():
    full = worker(free=3, warm="other", memory_total_mib=10, busy=(Busy("other", 5.0),))
    assert reasons(made([waiting(1, memory_mib=10)], [full])) == {WaitReason.NO_FREE_MEMORY}


def test_a_warm_worker_that_is_soon_free_beats_a_cold_load():
    full = worker("warm", free=0, warm="chat", slots=1)
    for left, expected in ((5.0, {}), (15.0, {1: "cold"})):
        workers = [worker("cold"), replace(full, busy=(Busy("chat", left),))]
        result = made([waiting(1)], workers, times=times())
        assert placed(result) == expected
        assert reasons(result) == (set() if expected else {WaitReason.WARM_WORKER_SOON})


def test_more_wait_for_a_warm_worker_only_as_long_as_that_is_faster_than_a_load():
    workers = [worker("cold", free=4), worker("warm", free=0, warm="chat", slots=1, busy=(Busy("chat", 1.0),))]
    result = made([waiting(n) for n in range(1, 6)], workers, times=times(run=4.0, load=10.0))
    assert placed(result) == {4: "cold", 5: "cold"}  # the others at 1, 5 and 9 seconds


def test_work_for_loaded_models_goes_before_a_swap():
    tasks = [waiting(1, model="other", memory_mib=10), waiting(2, memory_mib=10)]
    full = worker(free=1, warm="chat", memory_total_mib=10)
    result = made(tasks, [full], times=times())
    assert placed(result) == {2: "a"}
    assert reasons(result) == {WaitReason.COLLECTING}


def test_a_task_that_was_passed_over_for_long_enough_gets_its_swap():
    tasks = [waiting(1, model="other", memory_mib=10), waiting(2, memory_mib=10)]
    full = worker(free=1, warm="chat", memory_total_mib=10)
    since = {tasks[0].queue_key: 100.0 - PATIENCE_SECONDS}
    assert placed(made(tasks, [full], times=times(), passed_over=since)) == {1: "a"}


def test_a_slot_that_no_loaded_model_needs_is_used_for_a_swap():
    full = worker(free=1, warm="chat", memory_total_mib=10)
    assert placed(made([waiting(1, model="other", memory_mib=10)], [full])) == {1: "a"}


def test_the_worker_that_just_failed_a_task_is_left_to_others_for_a_while():
    task, warm = waiting(1, avoid_worker="a", ready=99.0), worker("a", free=4, warm="chat")
    assert placed(made([task], [warm, worker("b")])) == {1: "b"}
    assert reasons(made([task], [warm, worker("b", free=0)])) == {WaitReason.AVOIDS_WORKER}
    assert placed(made([task, waiting(2)], [warm, worker("b", free=0)])) == {2: "a"}
    assert placed(made([task], [warm, worker("b", free=0)], now=99.0 + AVOID_SECONDS)) == {1: "a"}
    assert placed(made([task], [warm])) == {1: "a"}


def test_a_worker_gets_only_what_it_can_run():
    assert not capable(waiting(1, task_type="stable_diffusion"), worker())
    assert not capable(waiting(1), worker(allowed_models=frozenset({"other"})))
    assert not capable(waiting(1, memory_mib=2000), worker(memory_total_mib=1000))
    assert capable(waiting(1, memory_mib=2000), worker())  # a worker that did not tell its memory may try


# ---------------------------------------------------------------- limits, pauses, reasons


def test_the_limits_of_organizations_and_models_count_what_runs_already():
    tasks = [waiting(n) for n in range(1, 5)]
    limited = {ACME: OrganizationView(limit=3, running=2)}
    result = made(tasks, [worker(free=4)], organizations=limited)
    assert (len(result.choices), reasons(result)) == (1, {WaitReason.ORGANIZATION_LIMIT})
    result = made(tasks, [worker(free=4)], models={CHAT: ModelView(limit=3, running=1)})
    assert (len(result.choices), reasons(result)) == (2, {WaitReason.MODEL_LIMIT})


@pytest.mark.parametrize(
    ("paused", "reason"),
    [
        (Paused(task_types=frozenset({"llm"})), WaitReason.QUEUE_PAUSED),
        (Paused(models=frozenset({"chat"})), WaitReason.MODEL_PAUSED),
        (Paused(organizations=frozenset({ACME})), WaitReason.ORGANIZATION_PAUSED),
    ],
)
def test_what_is_paused_waits_and_the_rest_goes_on(paused, reason):
    other = waiting(2, task_type="tts", model="voice", organization=ZEBRA)
    result = made([waiting(1), other], [worker(free=4)], paused=paused)
    assert (placed(result), reasons(result)) == ({2: "a"}, {reason})


def test_every_wait_has_its_reason():
    assert reasons(made([waiting(1)], [])) == {WaitReason.NO_WORKER}
    assert reasons(made([waiting(1, task_type="image_to_text")], [worker()])) == {WaitReason.NO_CAPABLE_WORKER}
    assert reasons(made([waiting(1)], [worker(free=0)])) == {WaitReason.NO_FREE_SLOT}
    assert reasons(made([waiting(1)], [worker()], models={})) == {WaitReason.MODEL_DISABLED}


def test_a_queue_that_cannot_be_served_hides_no_other():
    tasks = [waiting(n, task_type="image_to_text", priority=10) for n in range(1, 20)]
    assert placed(made([*tasks, waiting(50, priority=1)], [worker()])) == {50: "a"}


# ---------------------------------------------------------------- whatever it is handed

SEVERAL = ["x", "y", "z"]
PER_WORKER = {"x": None, "y": 1, "z": 2}
TASKS = st.lists(
    st.builds(
        WaitingTask,
        task_id=st.uuids(),
        task_type=st.sampled_from(sorted(KINDS)),
        model=st.sampled_from(SEVERAL),
        priority=st.integers(1, 10),
        memory_mib=st.just(10),
        avoid_worker=st.none() | st.sampled_from("abc"),
        organization=st.sampled_from([ACME, ZEBRA]),
        user=st.integers(0, 2),
        since=st.integers(0, 100).map(float),
        ready=st.just(0.0),
    ).map(lambda task: replace(task, per_worker=PER_WORKER[task.model])),
    max_size=30,
    unique_by=lambda task: task.task_id,
)
WORKERS = st.lists(
    st.builds(
        WorkerView,
        name=st.sampled_from("abcd"),
        kinds=st.frozensets(st.sampled_from(sorted(KINDS))),
        slots=st.just(4),
        free_slots=st.integers(0, 4),
        allowed_models=st.frozensets(st.sampled_from(SEVERAL)),
        warm=st.lists(st.sampled_from(SEVERAL), unique=True, max_size=2).map(
            lambda names: tuple(Loaded(name, 10) for name in names)
        ),
        memory_total_mib=st.sampled_from([0, 5, 20]),
        busy=st.lists(
            st.builds(Busy, st.sampled_from(SEVERAL), st.floats(0, 30), st.sampled_from(sorted(KINDS))), max_size=2
        ).map(tuple),
    ),
    max_size=4,
    unique_by=lambda worker: worker.name,
)
LIMITS = st.none() | st.integers(0, 5)
ORGANIZATIONS = st.fixed_dictionaries(
    {org: st.builds(OrganizationView, st.floats(0.5, 4), LIMITS, st.integers(0, 3)) for org in (ACME, ZEBRA)}
)
MODELS = st.dictionaries(
    st.builds(ModelKey, st.sampled_from(sorted(KINDS)), st.sampled_from(SEVERAL)),
    st.builds(ModelView, LIMITS, st.integers(0, 3)),
)
PAUSES = st.builds(Paused, *[st.frozensets(st.sampled_from(s), max_size=1) for s in (sorted(KINDS), SEVERAL)])
SNAPSHOTS = st.builds(
    lambda tasks, workers, organizations, models, paused: Snapshot(
        200.0, grouped(tasks), workers, organizations, models=models, paused=paused
    ),
    TASKS,
    WORKERS,
    ORGANIZATIONS,
    st.none() | MODELS,
    PAUSES,
)


def of_models(workers: Iterable[WorkerView], result: Plan | None = None) -> Counter[tuple[str, ModelKey]]:
    """How many of each model every worker has, with what the plan gives it."""
    there = Counter((view.name, busy.model_key) for view in workers for busy in view.busy)
    return there + Counter((c.worker, c.task.model_key) for c in (result.choices if result else ()))


@given(SNAPSHOTS)
def test_a_plan_is_legal(snapshot):
    result = plan(snapshot)
    by_name = {view.name: view for view in snapshot.workers}
    assert len({choice.task.task_id for choice in result.choices}) == len(result.choices)
    for name, used in Counter(choice.worker for choice in result.choices).items():
        assert used <= by_name[name].free_slots
    before = of_models(snapshot.workers)
    for (name, key), count in of_models(snapshot.workers, result).items():
        most = PER_WORKER[key.name]
        assert most is None or count <= max(most, before[name, key])
    for task, view in ((choice.task, by_name[choice.worker]) for choice in result.choices):
        assert capable(task, view)
        assert task.task_type not in snapshot.paused.task_types
        assert task.model not in snapshot.paused.models


@given(SNAPSHOTS)
def test_no_limit_is_ever_exceeded(snapshot):
    result = plan(snapshot)
    for organization, count in Counter(choice.task.organization for choice in result.choices).items():
        view = snapshot.organizations[organization]
        assert view.limit is None or view.running + count <= view.limit
    for key, count in Counter(choice.task.model_key for choice in result.choices).items():
        if snapshot.models is not None:
            model = snapshot.models[key]
            assert model.limit is None or model.running + count <= model.limit


@given(SNAPSHOTS)
def test_every_queue_of_which_something_is_left_has_a_reason_and_no_other(snapshot):
    result = plan(snapshot)
    done = {choice.task.task_id for choice in result.choices}
    left = {task.queue_key for queue in snapshot.queues for task in queue if task.task_id not in done}
    assert set(result.waits) == left


@given(TASKS, WORKERS)
def test_no_slot_stays_idle_that_a_waiting_task_could_use_but_for_a_warm_worker_that_is_soon_free(tasks, workers):
    roomy = [replace(view, memory_total_mib=0) for view in workers]
    result = made(tasks, roomy, now=200.0)
    used = Counter(choice.worker for choice in result.choices)
    left = [view for view in roomy if used[view.name] < view.free_slots]
    done = {choice.task.task_id for choice in result.choices}
    there = of_models(roomy, result)
    for task in tasks:
        most = task.per_worker or 100
        could = any(capable(task, view) and there[view.name, task.model_key] < most for view in left)
        assert task.task_id in done or result.waits.get(task.queue_key) in PASSED_OVER or not could


@given(SNAPSHOTS, st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_what_it_is_handed(snapshot, random):
    queues, workers = list(snapshot.queues), list(snapshot.workers)
    random.shuffle(queues)
    random.shuffle(workers)
    before, after = plan(snapshot), plan(replace(snapshot, queues=queues, workers=workers))
    assert [(c.task, c.worker) for c in before.choices] == [(c.task, c.worker) for c in after.choices]
    assert before.waits == after.waits


@settings(deadline=None)
@given(st.integers(1, 10), st.integers(1, 10), st.integers(1, 4))
def test_nothing_starves_however_urgent_the_stream_of_others_is(own, others, per_round):
    """One slot a round; every round brings more work of the same person than can be served."""
    numbers = itertools.count(2)
    old, queue = waiting(1, priority=own, since=0.0), []
    for now in range(0, 2400, 20):
        queue += [waiting(next(numbers), priority=others, since=float(now)) for _ in range(per_round)]
        [choice] = made([old, *queue], [worker()], now=float(now)).choices
        if choice.task is old:
            return
        assert choice.task.since <= max(0, others - own) * AGEING_SECONDS  # nobody so much younger goes first
        queue.remove(choice.task)
    raise AssertionError("it never ran")
