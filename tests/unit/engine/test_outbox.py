"""Progress is thinned, text is not."""

from __future__ import annotations

import pytest

from gpu_worker.engine.outbox import PROGRESS_INTERVAL, Outbox
from gpu_worker.engine.protocol import Cancelled, Completed, Finished, Progress, Report


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def outbox() -> tuple[Outbox, list[Report], Clock]:
    sent: list[Report] = []
    clock = Clock()
    return Outbox(sent.append, clock), sent, clock


def test_the_first_progress_goes_out_at_once() -> None:
    box, sent, _ = outbox()
    box.progress(Progress("a", 1, 10, "x"))
    assert sent == [Progress("a", 1, 10, "x")]


def test_what_comes_too_soon_is_joined_and_sent_when_it_is_due() -> None:
    box, sent, clock = outbox()
    box.progress(Progress("a", 1, 10, "one "))
    box.progress(Progress("a", 2, 10, "two "))
    box.progress(Progress("a", 3, 10, "three"))
    assert len(sent) == 1
    clock.now += PROGRESS_INTERVAL
    box.flush_due()
    assert sent[1:] == [Progress("a", 3, 10, "two three")]
    clock.now += PROGRESS_INTERVAL
    box.flush_due()
    assert len(sent) == 2


def test_the_end_takes_the_rest_of_the_text_along() -> None:
    box, sent, _ = outbox()
    for step, word in enumerate("abcdef", start=1):
        box.progress(Progress("a", step, 6, word))
    box.finish("a", Completed({}))
    assert sent[1:] == [Progress("a", 6, 6, "bcdef"), Finished("a", Completed({}))]


@pytest.mark.parametrize(("text", "most"), [("", 11), (".", 21)])
def test_a_thousand_steps_in_a_second_are_few_reports(text: str, most: int) -> None:
    box, sent, clock = outbox()
    for step in range(1000):
        box.progress(Progress("a", step, 1000, text))
        clock.now += 0.001
    box.finish("a", Cancelled())
    progress = [report for report in sent if isinstance(report, Progress)]
    assert len(progress) <= most
    assert "".join(report.text_delta for report in progress) == text * 1000


def test_requests_do_not_slow_each_other_down() -> None:
    box, sent, _ = outbox()
    box.progress(Progress("a", 1, 2))
    box.progress(Progress("b", 1, 2))
    assert [report.request_id for report in sent if isinstance(report, Progress)] == ["a", "b"]
