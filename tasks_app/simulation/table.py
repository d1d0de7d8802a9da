"""Figures of several policies side by side, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tasks_app.simulation.figures import Figures, Waits

Row = tuple[str, Callable[[Figures], str]]
WHOLE: list[Row] = [
    ("ended", lambda of: f"{of.ended:,}"),
    ("wait p50 / p99 s", lambda of: _waits(of.overall)),
    ("model loads", lambda of: f"{of.loads:,}"),
    ("model swaps", lambda of: f"{of.swaps:,}"),
    ("slots in inference", lambda of: f"{of.utilization:.1%}"),
    ("slots loading", lambda of: f"{of.loading:.1%}"),
    ("Jain while all wait", lambda of: "-" if of.jain is None else f"{of.jain:.3f}"),
]


def render(results: Mapping[str, Figures]) -> str:
    """One column a policy. Waits are seconds until inference began."""
    first = next(iter(results.values()))
    rows = [*WHOLE]
    rows += [(f"priority {level}", _of_priority(level)) for level in first.by_priority if len(first.by_priority) > 1]
    rows += [(name, _of_tenant(name)) for name in first.by_tenant if len(first.by_tenant) > 1]
    lines = [["", *results], *([label, *map(show, results.values())] for label, show in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        f"{line[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )


def _waits(waits: Waits) -> str:
    return f"{waits.p50:.1f} / {waits.p99:.1f}"


def _of_priority(level: int) -> Callable[[Figures], str]:
    return lambda of: _waits(of.by_priority[level])


def _of_tenant(name: str) -> Callable[[Figures], str]:
    return lambda of: _waits(of.by_tenant[name])
