"""From what a person types to what the API takes, and back. Pure, but for reading the files that are named."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

TYPES = {
    "llm": "llm", "chat": "llm",
    "stable_diffusion": "stable_diffusion", "image": "stable_diffusion", "sd": "stable_diffusion",
    "tts": "tts", "speech": "tts",
    "image_to_text": "image_to_text", "caption": "image_to_text",
}  # fmt: skip
MAIN_INPUT = {"llm": "prompt", "stable_diffusion": "prompt", "tts": "text", "image_to_text": "image"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def task_type(word: str) -> str:
    if word not in TYPES:
        raise typer.BadParameter(f"{word!r} is no task type; take one of {', '.join(TYPES)}.")
    return TYPES[word]


def optional_task_type(word: str | None) -> str | None:
    return None if word is None else task_type(word)


def duration(text: str) -> float:
    """Seconds of 90, 90s, 15m, 2h or 1d."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90, 90s, 15m, 2h or 1d.")
    return float(found[1]) * _SECONDS[found[2]]


def moment(text: str) -> str:
    """A time as the API takes it, of a time or of how long ago: 2030-01-31T12:00:00Z, or 2h."""
    if _DURATION.fullmatch(text.strip()):
        return (datetime.now(UTC) - timedelta(seconds=duration(text))).isoformat()
    return text


def assignments(given: Iterable[str] | None) -> dict[str, Any]:
    """`name=value` of each: the value as JSON if it is any (12, true, ["a"]), else as text; `a.b=1` goes into a."""
    values: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r} should be NAME=VALUE.")
        *path, last = name.split(".")
        inner = values
        for each in path:
            inner = inner.setdefault(each, {})
            if not isinstance(inner, dict):
                raise typer.BadParameter(f"{text!r} and an earlier value of {each} exclude each other.")
        inner[last] = _json_or_text(value)
    return values


def texts(given: Iterable[str] | None) -> dict[str, str]:
    """`name=value` of each, the value as text whatever it is."""
    split = [text.partition("=") for text in given or ()]
    for name, equals, _ in split:
        if not (name and equals):
            raise typer.BadParameter(f"{name!r} should be NAME=VALUE.")
    return {name: value for name, _, value in split}


def _json_or_text(value: str) -> Any:
    try:
        return strict_json(value)
    except ValueError:
        return value


def strict_json(text: str) -> Any:
    """Raises ValueError, also for NaN and Infinity, which Python would take and JSON has not."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def from_stdin(text: str | None) -> str | None:
    return sys.stdin.read() if text == "-" else text


def is_local_file(image: str) -> bool:
    return not image.startswith(("artifact://", "data:", "http://", "https://"))


def existing(path: str) -> Path:
    found = Path(path)
    if not found.is_file():
        raise typer.BadParameter(f"{path} is no file, and neither artifact://…, data:… nor an https URL.")
    return found


def seconds(value: float | None) -> str:
    """For people, in three or four characters."""
    if value is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f}{unit}"
    return f"{value:.1f}s" if value < 10 else f"{value:.0f}s"


def age(moment: datetime | None) -> str:
    return seconds((datetime.now(UTC) - moment).total_seconds()) if moment else ""


def short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
