"""The policy is pure: who waits and who is free decides who goes where, whatever the order they are handed in."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tasks_app.decisions import Placement
from tasks_app.scheduling.placement import WaitingTask, WorkerView, capable
from tasks_app.scheduling.policy import Wait, WaitReason, order, plan

ALL = frozenset({"llm", "tts"})


def waiting(number: int, **values: object) -> WaitingTask:
    base = WaitingTask(UUID(int=number), "llm", "chat", 5)
    return replace(base, **values)  # type: ignore[arg-type]


def worker(name: str = "a", free: int = 1, **values: object) -> WorkerView:
    base = WorkerView(name, ALL, slots=4, free_slots=free)
    return replace(base, **values)  # type: ignore[arg-type]


def placed(decisions: list[Placement | Wait]) -> dict[int, str]:
    return {d.task_id.int: d.worker for d in decisions if isinstance(d, Placement)}


def reasons(decisions: list[Placement | Wait]) -> set[WaitReason]:
    return {d.reason for d in decisions if isinstance(d, Wait)}


def test_the_more_urgent_goes_first_and_the_older_among_equals():
    tasks = [waiting(3), waiting(2), waiting(9, priority=10), waiting(1, priority=1)]
    assert [task.task_id.int for task in order(tasks)] == [9, 2, 3, 1]


def test_only_free_slots_are_filled():
    decisions = plan([waiting(n) for n in range(1, 6)], [worker(free=2)])
    assert placed(decisions) == {1: "a", 2: "a"}
    assert reasons(decisions) == {WaitReason.NO_FREE_SLOT}


def test_a_warm_worker_is_preferred_to_an_emptier_cold_one():
    workers = [worker("cold", free=4), worker("warm", free=1, warm=frozenset({"chat"}))]
    assert placed(plan([waiting(1)], workers)) == {1: "warm"}


def test_the_least_loaded_is_chosen_among_equals():
    assert placed(plan([waiting(1)], [worker("busy", free=1), worker("idle", free=4)])) == {1: "idle"}


def test_the_worker_that_just_failed_a_task_is_tried_last():
    task = waiting(1, avoid_worker="a")
    warm = worker("a", free=4, warm=frozenset({"chat"}))
    assert placed(plan([task], [warm, worker("b")])) == {1: "b"}
    assert placed(plan([task], [warm])) == {1: "a"}


def test_a_worker_gets_only_what_it_can_run():
    assert not capable(waiting(1, task_type="stable_diffusion"), worker())
    assert not capable(waiting(1), worker(allowed_models=frozenset({"other"})))
    assert not capable(waiting(1, memory_mib=2000), worker(memory_total_mib=1000))
    assert capable(waiting(1, memory_mib=2000), worker())  # a worker that did not tell its memory may try


def test_every_wait_has_its_reason():
    assert reasons(plan([waiting(1)], [])) == {WaitReason.NO_WORKER}
    assert reasons(plan([waiting(1, task_type="stable_diffusion")], [worker()])) == {WaitReason.NO_CAPABLE_WORKER}
    assert reasons(plan([waiting(1)], [worker(free=0)])) == {WaitReason.NO_FREE_SLOT}


TASKS = st.lists(
    st.builds(
        WaitingTask,
        task_id=st.uuids(),
        task_type=st.sampled_from(["llm", "tts"]),
        model=st.sampled_from("xyz"),
        priority=st.integers(1, 10),
        memory_mib=st.integers(0, 100),
        avoid_worker=st.none() | st.sampled_from("abc"),
    ),
    max_size=30,
    unique_by=lambda task: task.task_id,
)
WORKERS = st.lists(
    st.builds(
        WorkerView,
        name=st.sampled_from("abcd"),
        kinds=st.frozensets(st.sampled_from(["llm", "tts"])),
        slots=st.just(4),
        free_slots=st.integers(0, 4),
        allowed_models=st.frozensets(st.sampled_from("xyz")),
        warm=st.frozensets(st.sampled_from("xyz")),
        memory_total_mib=st.integers(0, 100),
    ),
    max_size=4,
    unique_by=lambda worker: worker.name,
)


@given(TASKS, WORKERS)
def test_a_plan_is_legal_and_leaves_no_slot_idle_that_a_waiting_task_could_use(tasks, workers):
    decisions = plan(tasks, workers)
    assert {d.task_id for d in decisions} == {task.task_id for task in tasks}
    by_id, by_name = {t.task_id: t for t in tasks}, {w.name: w for w in workers}
    used = dict.fromkeys(by_name, 0)
    for decision in decisions:
        if isinstance(decision, Placement):
            used[decision.worker] += 1
            assert capable(by_id[decision.task_id], by_name[decision.worker])
    assert all(used[name] <= view.free_slots for name, view in by_name.items())
    left = [view for name, view in by_name.items() if used[name] < view.free_slots]
    waits = [by_id[d.task_id] for d in decisions if isinstance(d, Wait)]
    assert not any(capable(task, view) for task in waits for view in left)


@given(TASKS, WORKERS, st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_what_it_is_handed(tasks, workers, random):
    before = placed(plan(tasks, workers))
    random.shuffle(tasks)
    random.shuffle(workers)
    assert placed(plan(tasks, workers)) == before
