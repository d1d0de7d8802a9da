"""When an engine counts as hung."""

from __future__ import annotations

from gpu_worker.engine.protocol import LanePulse, Pulse
from gpu_worker.engine.watchdog import Watchdog


def pulse(steps: int, active: int = 1, exempt: bool = False, model: str = "m#1") -> Pulse:
    return Pulse((LanePulse(model, steps, active, exempt),), (), 0)


def watch(*pulses: Pulse, stall: float = 10.0, silence: float = 5.0) -> list[str | None]:
    """The verdict after each pulse, one a second."""
    dog = Watchdog(stall, silence, now=0.0)
    verdicts = []
    for now, each in enumerate(pulses, start=1):
        dog.pulse(each, float(now))
        verdicts.append(dog.verdict(float(now)))
    return verdicts


def test_a_lane_that_counts_is_left_alone() -> None:
    assert watch(*(pulse(steps) for steps in range(30))) == [None] * 30


def test_a_lane_that_stands_still_with_work_is_named_after_the_timeout() -> None:
    verdicts = watch(*[pulse(7)] * 13)
    assert verdicts[:11] == [None] * 11
    assert verdicts[11] == "model m#1 has stood still for 11.0 s"


def test_an_idle_lane_may_stand_still_for_ever() -> None:
    assert watch(*[pulse(7, active=0)] * 30) == [None] * 30


def test_a_lane_may_take_its_time_to_load() -> None:
    assert watch(*[pulse(0, exempt=True)] * 30) == [None] * 30


def test_the_time_starts_when_the_work_comes() -> None:
    assert watch(*[pulse(7, active=0)] * 30, *[pulse(7)] * 10) == [None] * 40


def test_one_step_starts_the_time_again() -> None:
    assert watch(*[pulse(7)] * 9, *[pulse(8)] * 9) == [None] * 18


def test_a_hung_lane_is_seen_beside_one_that_works() -> None:
    both = [Pulse((LanePulse("good#1", n, 1, False), LanePulse("bad#2", 3, 1, False)), (), 0) for n in range(13)]
    assert watch(*both)[-1] == "model bad#2 has stood still for 12.0 s"


def test_an_engine_that_says_nothing_at_all_is_named_too() -> None:
    dog = Watchdog(stall_timeout=10.0, silence_timeout=5.0, now=0.0)
    assert [dog.verdict(now) for now in (1.0, 3.0, 5.0)] == [None, None, None]
    assert dog.verdict(6.0) == "no sign of life for 6.0 s"


def test_a_watcher_that_was_frozen_itself_gives_the_engine_its_time_again() -> None:
    dog = Watchdog(stall_timeout=10.0, silence_timeout=5.0, now=0.0)
    dog.pulse(pulse(7), 1.0)
    assert dog.verdict(1.0) is None
    assert dog.verdict(1000.0) is None
    assert dog.verdict(1002.0) is None
    dog.pulse(pulse(7), 1004.0)
    assert dog.verdict(1004.0) is None
