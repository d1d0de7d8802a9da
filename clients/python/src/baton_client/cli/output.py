"""What is written where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 200  # columns when nobody's terminal limits them
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console(stderr: bool = False) -> Console:
    """Of this moment's streams. A pipe gets whole lines and no colour."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def safe(text: str) -> str:
    """Text of others, which must not steer the terminal. Tabs and line ends stay."""
    return _CONTROLS.sub("�", text)


def say(text: str) -> None:
    """A line of the result. A terminal is protected from control characters; a pipe gets the text as it is."""
    write((safe(text) if sys.stdout.isatty() else text) + "\n")


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


note = complain  # not everything on stderr is a complaint


def dump(document: Any) -> None:
    """JSON: one line for programs, indented for eyes."""
    write(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Columns whose name begins with > are numbers."""
    drawn = grid(columns, rows)
    if drawn.row_count:
        console().print(drawn)
    else:
        note(empty)


def grid(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    for name in columns:
        drawn.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(safe(str(cell))) for cell in row))
    return drawn


def pairs(values: Mapping[str, object]) -> None:
    """Names and values, one a line; what is None is left out."""
    shown = {name: value for name, value in values.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        say(f"{name:<{width}}  {value}")
