"""Who stays loaded and who goes. The lanes are stand-ins that only know whether they were closed."""

from __future__ import annotations

import threading

import pytest

from gpu_worker.engine.model_cache import MAX_MODELS, Entry, ModelCache, ModelTooBig
from gpu_worker.engine.protocol import WarmModel


class StandIn:
    closed = False

    def close(self) -> None:
        self.closed = True


class Garage:
    """A cache of 100 MiB under a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cache: ModelCache[StandIn] = ModelCache(100, lambda: self.now)

    def pin(self, name: str, keep_alive: float | None = None, pinned: bool = False) -> Entry[StandIn]:
        def make() -> Entry[StandIn]:
            entry: Entry[StandIn] = Entry(name, keep_alive, self.now, pinned=pinned)
            entry.lane = StandIn()
            return entry

        return self.cache.pin(name, make)

    def load(self, name: str, mib: int, keep_alive: float | None = None, pinned: bool = False) -> Entry[StandIn]:
        """Loaded and idle, last used now."""
        self.now += 1
        entry = self.pin(name, keep_alive, pinned)
        assert self.cache.reserve(entry, mib, lambda: False)
        self.cache.loaded(entry, mib)
        self.cache.unpin(entry)
        return entry

    def warm(self) -> list[str]:
        return [model.name for model in self.cache.warm()]


@pytest.fixture
def garage() -> Garage:
    return Garage()


def test_two_requests_for_one_model_share_its_entry(garage: Garage) -> None:
    assert garage.pin("a") is garage.pin("a")


def test_models_stay_warm_while_there_is_room(garage: Garage) -> None:
    garage.load("a", 40)
    garage.load("b", 60)
    assert garage.cache.warm() == (WarmModel("a", 40), WarmModel("b", 60))


def test_the_least_recently_used_idle_model_goes_first(garage: Garage) -> None:
    a, b = garage.load("a", 40), garage.load("b", 40)
    garage.now += 1
    garage.cache.unpin(garage.pin("a"))
    garage.load("c", 40)
    assert (a.lane.closed, b.lane.closed) == (False, True)
    assert garage.warm() == ["a", "c"]


def test_a_busy_model_is_never_closed_even_if_it_was_used_longest_ago(garage: Garage) -> None:
    a, b = garage.load("a", 40), garage.load("b", 40)
    garage.pin("a")
    garage.load("c", 40)
    assert (a.lane.closed, b.lane.closed) == (False, True)


def test_as_many_go_as_are_needed(garage: Garage) -> None:
    for name in "abc":
        garage.load(name, 30)
    garage.load("big", 95)
    assert garage.warm() == ["big"]


def test_what_can_never_fit_is_refused_and_closes_nobody(garage: Garage) -> None:
    garage.load("a", 40)
    with pytest.raises(ModelTooBig, match="needs 101 MiB; models may take 100 MiB"):
        garage.cache.reserve(garage.pin("huge"), 101, lambda: False)
    assert garage.warm() == ["a"]


def test_a_load_waits_until_a_busy_model_is_free(garage: Garage) -> None:
    a = garage.load("a", 80)
    garage.pin("a")
    b = garage.pin("b")
    reserved: list[bool] = []
    waiting = threading.Thread(target=lambda: reserved.append(garage.cache.reserve(b, 80, lambda: False)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    garage.cache.unpin(a)
    waiting.join(5)
    assert reserved == [True]
    assert a.lane.closed


def test_a_load_that_nobody_waits_for_any_more_gives_up(garage: Garage) -> None:
    garage.load("a", 80)
    garage.pin("a")
    assert not garage.cache.reserve(garage.pin("b"), 80, lambda: True)


def test_room_is_counted_by_what_a_model_really_takes(garage: Garage) -> None:
    entry = garage.pin("a")
    garage.cache.reserve(entry, 30, lambda: False)
    garage.cache.loaded(entry, 70)
    garage.cache.unpin(entry)
    garage.load("b", 40)
    assert garage.warm() == ["b"]


def test_memory_counts_until_the_closing_is_done(garage: Garage) -> None:
    a = garage.load("a", 80)
    may_close, closing = threading.Event(), threading.Event()

    def slowly() -> None:
        closing.set()
        assert may_close.wait(5)

    a.lane.close = slowly  # type: ignore[method-assign]
    b, c = garage.pin("b"), garage.pin("c")
    first = threading.Thread(target=garage.cache.reserve, args=(b, 80, lambda: False))
    first.start()
    assert closing.wait(5)
    assert not garage.cache.reserve(c, 30, lambda: True)
    may_close.set()
    first.join(5)
    assert not first.is_alive()


def test_a_model_is_closed_when_its_keep_alive_has_passed(garage: Garage) -> None:
    garage.load("short", 10, keep_alive=30.0)
    garage.load("for ever", 10)
    garage.now += 28
    garage.cache.expire()
    assert garage.warm() == ["short", "for ever"]
    garage.now += 1
    garage.cache.expire()
    assert garage.warm() == ["for ever"]


def test_models_that_take_no_memory_do_not_pile_up(garage: Garage) -> None:
    for number in range(MAX_MODELS + 2):
        garage.load(str(number), 0)
    assert garage.warm() == [str(number) for number in range(2, MAX_MODELS + 2)]


def test_a_busy_model_does_not_expire(garage: Garage) -> None:
    garage.load("a", 10, keep_alive=1.0)
    garage.pin("a")
    garage.now += 100
    garage.cache.expire()
    assert garage.warm() == ["a"]


def test_a_forgotten_load_starts_afresh(garage: Garage) -> None:
    first = garage.pin("a")
    garage.cache.forget(first)
    assert garage.pin("a") is not first


def test_variants_of_one_name_are_added_up(garage: Garage) -> None:
    for key, mib in (("x", 10), ("y", 20)):
        entry = garage.cache.pin(key, lambda: _entry("same"))
        garage.cache.reserve(entry, mib, lambda: False)
        garage.cache.loaded(entry, mib)
    assert garage.cache.warm() == (WarmModel("same", 30),)


def _entry(name: str) -> Entry[StandIn]:
    entry: Entry[StandIn] = Entry(name, None, 0.0)
    entry.lane = StandIn()
    return entry


def test_a_pinned_model_stays_whoever_needs_room_and_however_long_it_is_idle(garage: Garage) -> None:
    pinned = garage.load("pinned", 40, keep_alive=1, pinned=True)
    idle = garage.load("idle", 40)
    garage.load("new", 60)
    garage.now += 100
    garage.cache.expire()
    garage.cache.evict_idle()
    assert (pinned.lane.closed, idle.lane.closed) == (False, True)
    assert garage.warm() == ["pinned"]


def test_what_cannot_fit_beside_the_pinned_ones_is_refused_with_their_names(garage: Garage) -> None:
    garage.load("pinned", 40, pinned=True)
    with pytest.raises(ModelTooBig, match="beside the pinned pinned models may take 60 MiB"):
        garage.load("big", 61)
    garage.load("fits", 60)


def test_models_of_two_task_types_may_have_one_name(garage: Garage) -> None:
    for task_type in ("llm", "tts"):
        entry = garage.load(task_type, 10)
        entry.name, entry.task_type = "same", task_type
    assert garage.cache.warm() == (WarmModel("same", 10, "llm"), WarmModel("same", 10, "tts"))
