"""How long something took, for people."""

from __future__ import annotations


def spoken(seconds: float | None) -> str:
    """ "0.42 s", "12.3 s", "1 min 48 s", "2 h 5 min"; a dash for what nobody measured."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
