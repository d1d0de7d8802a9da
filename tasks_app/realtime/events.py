"""What a follower of a task gets to see: events of the log, pieces of live output, and where in both it has got to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tasks_app import events

PROGRESS = "task.progress"
DELTA = "task.output.delta"
DELETED = "task.deleted"  # not in the log, which is gone with the task
GAP = "gap"  # some of the live output was missed: trimmed, or never written
SNAPSHOT = "snapshot"  # after a gap: the whole task as it is now
LAST = frozenset({*events.FINAL_TYPES.values(), DELETED})
FORM = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to the log's event `seq`, and up to piece `n` of the attempt that is at work there."""

    seq: int = 0
    n: int = 0

    def __str__(self) -> str:
        return f"{self.seq}.{self.n}" if self.n else str(self.seq)

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError for what is no position: `<seq>` or `<seq>.<n>`."""
        match = FORM.match(text)
        if match is None:
            raise ValueError(f"{text!r} is no position")
        return cls(int(match[1]), int(match[2] or 0))


START = Position()


@dataclass(frozen=True, slots=True)
class Event:
    """`data` of the last event is the whole task, as GET /tasks/{id} shows it."""

    position: Position  # to resume after it
    type: str
    task_id: UUID
    at: datetime
    data: dict[str, Any]

    @property
    def is_last(self) -> bool:
        return self.type in LAST

    @property
    def is_live(self) -> bool:
        """It is of the live output, not of the log."""
        return self.type in (PROGRESS, DELTA)

    def as_json(self) -> dict[str, Any]:
        """`id` is the position; `seq` of live output is that of the log's event before it."""
        number = {"n": self.position.n} if self.is_live else {}
        return {
            "id": str(self.position),
            "seq": self.position.seq,
            **number,
            "type": self.type,
            "task_id": self.task_id,
            "at": self.at,
            "data": self.data,
        }
