"""Where the time of a task went: a lane per attempt, bars for waiting, loading, running. Pure; drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks_app.dashboard.durations import spoken
from tasks_app.models import Attempt, Task
from tasks_app.states import FINAL, Status

MIN_WIDTH = 0.6  # percent of the drawing; what took no time can still be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """`start` and `width` in percent of the whole; `took` is None while it lasts."""

    kind: str  # waiting, loading, running, saving
    start: float
    width: float
    took: str | None


@dataclass(frozen=True, slots=True)
class Lane:
    attempt: Attempt | None  # None: it waits for one
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: list[Lane]
    took: str | None  # all of it; None while it lasts


def of(task: Task, attempts: Sequence[Attempt], now: datetime) -> Timeline:
    ended = task.completed_at
    scale = _Scale(task.created_at, max(ended or now, task.created_at))
    lanes: list[Lane] = []
    free_since = task.created_at
    for attempt in attempts:
        lanes.append(Lane(attempt, [scale.bar("waiting", free_since, attempt.started_at), *_worked(attempt, scale)]))
        free_since = attempt.ended_at or scale.end
    if task.status in (Status.PENDING, Status.DISPATCHED) or (task.status in FINAL and not attempts):
        lanes.append(Lane(None, [scale.bar("waiting", free_since, ended)]))
    return Timeline(lanes, spoken((ended - task.created_at).total_seconds()) if ended else None)


def _worked(attempt: Attempt, scale: _Scale) -> list[Bar]:
    """What an attempt did after its start; before it has ended nobody knows when the model was loaded."""
    begin, end = attempt.started_at.timestamp(), attempt.ended_at.timestamp() if attempt.ended_at else None
    if end is None or attempt.inference_seconds is None:
        return [scale.span("running", begin, end)]
    loaded = begin + (attempt.model_load_seconds or 0.0)
    inferred = min(loaded + attempt.inference_seconds, end)
    bars = [("loading", begin, loaded), ("running", loaded, inferred), ("saving", inferred, end)]
    return [scale.span(kind, start, stop) for kind, start, stop in bars if stop - start > 0.0005 or kind == "running"]


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    end: datetime

    def bar(self, kind: str, start: datetime, stop: datetime | None) -> Bar:
        return self.span(kind, start.timestamp(), stop.timestamp() if stop else None)

    def span(self, kind: str, start: float, stop: float | None) -> Bar:
        """Seconds since the epoch; an open end reaches to the right edge."""
        whole = max((self.end - self.begin).total_seconds(), 0.001)
        left = min(100 * (start - self.begin.timestamp()) / whole, 100 - MIN_WIDTH)
        width = max(100 * ((stop or self.end.timestamp()) - start) / whole, MIN_WIDTH)
        took = None if stop is None else spoken(max(stop - start, 0.0))
        return Bar(kind, round(left, 2), round(min(width, 100 - left), 2), took)
