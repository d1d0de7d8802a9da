"""What ends teaches how long the next will take, for the model and for each worker apart."""

from __future__ import annotations

import pytest

from tasks_app.scheduling.learning import LOAD_UNKNOWN, RUN_UNKNOWN, Observation, Times


def seen(run: float | None, load: float | None = None, worker: str = "a") -> Observation:
    return Observation("llm", "chat", worker, load, run)


def test_nothing_learnt_yet_is_a_guess():
    assert (Times().run("llm", "chat"), Times().load("llm", "chat", "a")) == (RUN_UNKNOWN, LOAD_UNKNOWN)


def test_the_first_value_replaces_the_guess_and_the_next_are_averaged():
    times = Times()
    times.learn([seen(2.0, 8.0)])
    assert (times.run("llm", "chat"), times.load("llm", "chat")) == (2.0, 8.0)
    times.learn([seen(4.0), seen(6.0)])
    assert times.run("llm", "chat") == pytest.approx(4.0)
    assert times.load("llm", "chat") == 8.0  # the others were warm


def test_what_changed_for_good_is_believed_after_some_time():
    times = Times()
    times.learn([seen(2.0)] * 100)
    times.learn([seen(20.0)] * 50)
    assert times.run("llm", "chat") == pytest.approx(20.0, rel=0.01)


def test_a_slow_worker_is_known_to_be_slow_and_an_unknown_one_is_like_the_others():
    times = Times()
    times.learn([seen(2.0, worker="fast"), seen(10.0, worker="slow")])
    assert times.run("llm", "chat", "slow") == 10.0
    assert times.run("llm", "chat", "new") == times.run("llm", "chat") == pytest.approx(6.0)


def test_the_range_spans_what_was_seen():
    times = Times()
    times.learn([seen(seconds) for seconds in (8.0, 12.0) * 20])
    low, high = times.run_range("llm", "chat")
    assert 4.0 < low < 8.0 < 12.0 < high < 16.0


def test_an_attempt_that_never_ran_teaches_how_long_its_model_loads():
    times = Times()
    changed = times.learn([seen(None, 8.0)])
    assert set(changed) == {("llm", "chat", ""), ("llm", "chat", "a")}
    assert (times.run("llm", "chat"), times.load("llm", "chat")) == (RUN_UNKNOWN, 8.0)
