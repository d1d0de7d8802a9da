"""What is wrong with a request, out of the nested detail of DRF's ValidationError. Pure."""

from __future__ import annotations

from typing import Any


def name_of(path: str) -> str:
    """What a message calls it: the last part, and for an item of a list its list too."""
    *above, last = path.split(".")
    return f"{above[-1]}.{last}" if last.isdigit() and above else last or "The body"


def first_problem(detail: Any, path: str = "") -> tuple[str, str]:
    """The path of the first thing that is wrong ("parameters.width") and what is said about it."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            if inner:
                return first_problem(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    if isinstance(detail, list) and detail:
        if isinstance(detail[0], str):
            return path, str(detail[0])
        number = next(number for number, inner in enumerate(detail) if inner)
        return first_problem(detail[number], f"{path}.{number}")
    return path, str(detail)
