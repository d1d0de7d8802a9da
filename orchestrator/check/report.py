"""What one check found, and how it is shown: a line for people, an object for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TextIO


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """`detail` is what was seen or what is wrong, `advice` what to do then, `facts` the numbers behind it."""

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def passed(name: str, detail: str, **facts: Any) -> Result:
    return Result(name, Outcome.PASSED, detail, facts=facts)


def failed(name: str, detail: str, advice: str, **facts: Any) -> Result:
    return Result(name, Outcome.FAILED, detail, advice, facts)


def skipped(name: str, reason: str, advice: str = "") -> Result:
    return Result(name, Outcome.SKIPPED, f"skipped: {reason}", advice)


NAME_WIDTH = 16  # characters of the longest name, stable_diffusion
MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.SKIPPED: "–"}
PLAIN_MARKS = {Outcome.PASSED: "+", Outcome.FAILED: "x", Outcome.SKIPPED: "-"}
COLOURS = {Outcome.PASSED: "32", Outcome.FAILED: "31", Outcome.SKIPPED: "33"}  # green, red, yellow


class Printer:
    """Writes each result as it comes. Colours only for a terminal, and only signs that its encoding has."""

    def __init__(self, stream: TextIO, coloured: bool) -> None:
        self._stream = stream
        self._coloured = coloured
        self._marks = MARKS if _has_signs(stream) else PLAIN_MARKS

    def show(self, result: Result) -> None:
        mark = self._marks[result.outcome]
        if self._coloured:
            mark = f"\x1b[{COLOURS[result.outcome]}m{mark}\x1b[0m"
        self._line(f"{mark} {result.name:<{NAME_WIDTH}}  {result.detail}")
        if result.advice:
            self._line(f"  {'':<{NAME_WIDTH}}  {result.advice}")

    def sum_up(self, results: Sequence[Result], seconds: float) -> None:
        counts = ", ".join(f"{sum(r.outcome is word for r in results)} {word}" for word in Outcome)
        noun = "check" if len(results) == 1 else "checks"
        self._line(f"\n{len(results)} {noun} in {seconds:.1f} s: {counts}")

    def _line(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), file=self._stream, flush=True)


def as_document(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """What --json prints."""
    return {
        "passed": all(result.outcome is not Outcome.FAILED for result in results),
        "seconds": round(seconds, 3),
        "checks": [asdict(result) for result in results],
    }


def _has_signs(stream: TextIO) -> bool:
    try:
        "".join(MARKS.values()).encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
