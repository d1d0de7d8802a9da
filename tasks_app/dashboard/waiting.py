"""Why a task waits, as the task page says it: one sentence, and when it may start."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from tasks_app.explaining import explain
from tasks_app.models import Task


def why(task: Task) -> str:
    """Empty for a task that does not wait."""
    told = explain(task)
    if told.latest is None or told.earliest is None:
        return told.message
    soon, late = _from_now(told.earliest), _from_now(told.latest)
    return (
        f"{told.message} It may start in {soon}."
        if soon == late
        else f"{told.message} It may start in {soon} to {late}."
    )


def _from_now(moment: datetime) -> str:
    """Rounded up, so that the page does not change with each look."""
    seconds = max(0.0, (moment - timezone.now()).total_seconds())
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{-(-seconds // unit):.0f} {name}"
    return f"{-(-seconds // 5) * 5:.0f} s"
