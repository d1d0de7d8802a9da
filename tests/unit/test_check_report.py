"""The lines and the object that check_orchestration prints."""

from __future__ import annotations

import io

import pytest

from orchestrator.check.load import rank
from orchestrator.check.report import Printer, Result, as_document, failed, passed, skipped

RESULTS = [passed("web", "answers"), failed("llm", "nothing came", "look there"), skipped("load", "--load 0")]


def printed(results: list[Result], coloured: bool = False, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding)
    printer = Printer(stream, coloured)
    for result in results:
        printer.show(result)
    printer.sum_up(results, 1.25)
    return buffer.getvalue().decode(encoding)


def test_the_details_stand_below_each_other_and_advice_below_what_failed() -> None:
    lines = printed(RESULTS).splitlines()
    assert [line[0] for line in lines[:4]] == ["✓", "✗", " ", "–"]
    columns = [lines[0].index("answers"), lines[1].index("nothing"), lines[2].index("look"), lines[3].index("skipped")]
    assert len(set(columns)) == 1


def test_the_last_line_counts() -> None:
    assert printed(RESULTS).splitlines()[-1] == "3 checks in 1.2 s: 1 passed, 1 failed, 1 skipped"


def test_colours_only_where_they_are_asked_for() -> None:
    assert "\x1b[" not in printed(RESULTS)
    assert "\x1b[31m✗\x1b[0m llm" in printed(RESULTS, coloured=True)


def test_a_terminal_without_these_signs_gets_others() -> None:
    text = printed([passed("live", "pending → running"), RESULTS[1]], encoding="ascii")
    assert text.startswith("+ live")
    assert "\nx llm" in text


@pytest.mark.parametrize(("results", "good"), [(RESULTS, False), ([RESULTS[0], RESULTS[2]], True)])
def test_the_object_says_whether_all_is_well_and_a_skipped_check_is_no_failure(
    results: list[Result], good: bool
) -> None:
    document = as_document(results, 1.0)
    assert document["passed"] is good
    assert [check["outcome"] for check in document["checks"]] == [str(result.outcome) for result in results]


@pytest.mark.parametrize(("percent", "expected"), [(50, 3), (95, 5), (100, 5), (1, 1)])
def test_a_percentile_is_a_value_that_was_seen(percent: int, expected: int) -> None:
    assert rank([1, 2, 3, 4, 5], percent) == expected
