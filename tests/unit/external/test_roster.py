"""Who is behind an external pool, as their heartbeats tell."""

from __future__ import annotations

import pytest

from gpu_worker.external import roster as module
from gpu_worker.external.roster import Description, Roster


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def roster(queue: str = "gpu_queue", pool: str = "prefork") -> Roster:
    return Roster("gpu_queue", 1.0, lambda hostname: Description(frozenset({queue}), pool, 2))


def beat(kind: str = "worker-heartbeat", pid: int = 1) -> dict[str, object]:
    return {"type": kind, "hostname": "a@x", "pid": pid, "freq": 1, "sw_ver": "5.7.0"}


def test_a_worker_that_consumes_our_queue_is_present_until_five_beats_are_missing(clock):
    seen = roster()
    seen.heard(beat())
    assert [peer.hostname for peer in seen.present()] == ["a@x"]
    clock[0] += 5.1
    assert seen.present() == []
    assert seen.has_lost("a@x", 1)


def test_a_worker_of_another_queue_is_not_ours(clock):
    seen = roster(queue="celery")
    seen.heard(beat())
    assert seen.present() == []


def test_a_restart_under_the_same_name_has_lost_what_the_old_process_ran(clock):
    seen = roster()
    seen.heard(beat(pid=1))
    seen.heard(beat(pid=2))
    assert seen.has_lost("a@x", 1)
    assert not seen.has_lost("a@x", 2)


def test_one_that_said_good_bye_takes_nothing_new_and_finishes_what_it_has(clock):
    seen = roster()
    seen.heard(beat())
    seen.heard(beat("worker-offline"))
    clock[0] += 60
    assert seen.present() == []
    assert not seen.has_lost("a@x", 1)


def test_the_silence_of_a_solo_pool_is_no_sign(clock):
    seen = roster(pool="solo")
    seen.heard(beat())
    clock[0] += 60
    assert not seen.has_lost("a@x", 1)


def test_who_does_not_answer_is_asked_again_later_and_not_with_each_beat(clock):
    asked: list[str] = []
    seen = Roster("gpu_queue", 1.0, lambda hostname: asked.append(hostname))  # type: ignore[func-returns-value]
    for _ in range(3):
        seen.heard(beat())
    assert asked == ["a@x"]
    clock[0] += module.ASK_STRANGER_AGAIN + 1
    seen.heard(beat())
    assert len(asked) == 2
