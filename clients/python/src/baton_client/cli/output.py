"""What is written where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

WIDTH = 200  # columns when nobody's terminal limits them
GAP = 2  # columns between two of a table
LAST = 10  # columns that the last of a table has at least
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


def ask(question: str) -> str:
    """A line from whoever sits at the terminal; nothing, if the input has ended."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


note = complain  # not everything on stderr is a complaint


def dump(document: Any) -> None:
    """JSON: one line for programs, indented for eyes."""
    write(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Columns whose name begins with > are numbers."""
    screen = console()
    drawn = grid(columns, rows, screen.width)
    if drawn.row_count:
        needed = sum((column.min_width or 0) + GAP for column in drawn.columns)
        screen.print(drawn, width=max(screen.width, needed), crop=False, overflow="ignore")
    else:
        note(empty)


def grid(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int) -> Table:
    """Only the last column gives way to a narrow screen: an id that is cut is worth nothing."""
    cells = [[cell if isinstance(cell, Text) else Text(safe(str(cell))) for cell in row] for row in rows]
    names = [name.lstrip(">") for name in columns]
    widths = [max(map(cell_len, texts)) for texts in zip(names, *(map(str, row) for row in cells), strict=True)]
    widths[-1] = max(LAST, min(widths[-1], width - sum(widths[:-1]) - GAP * (len(widths) - 1)))
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name, column_width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "right" if name.startswith(">") else "left"
        drawn.add_column(name.lstrip(">"), justify=justify, no_wrap=True, overflow="ellipsis", min_width=column_width)
    drawn.columns[-1].max_width = widths[-1]
    for row in cells:
        drawn.add_row(*row)
    return drawn


def pairs(values: Mapping[str, object]) -> None:
    """Names and values, one a line; what is None is left out."""
    shown = {name: value for name, value in values.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        say(f"{name:<{width}}  {value}")
