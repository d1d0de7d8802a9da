"""The live output of an attempt: a Redis stream of its own, beside the task's log. Workers write it, followers read it.

It may be trimmed, or gone with Redis: the result is whole without it. Entries are numbered from 1 without a gap, so
whoever misses some can tell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

KEPT_SECONDS = 900  # after the last entry; whoever comes later reads the result
FIELD = b"e"


def key(task_id: UUID, attempt: int) -> str:
    """A stream belongs to an attempt, so one that was thought lost and lives on cannot write into its successor's."""
    return f"baton:stream:{task_id}:{attempt}"


@dataclass(frozen=True, slots=True)
class Entry:
    """How far the attempt is at this moment, and what it has said since the entry before.

    `offset`: how many characters it had said before `text`. Steps are null until the first one is done.
    """

    n: int
    at: float  # seconds since 1970
    phase: str
    step: int | None = None
    total_steps: int | None = None
    text: str = ""
    offset: int = 0
    preview: str = ""  # a small JPEG in base64: what is drawn until now, of those tasks that asked for it

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def fraction(self) -> float | None:
        """0 to 1; null before the first step."""
        return round(min(1.0, self.step / self.total_steps), 4) if self.step is not None and self.total_steps else None


def pack(entry: Entry) -> dict[bytes, bytes]:
    """The fields of the Redis entry whose id is `<n>-0`."""
    told = asdict(entry)
    del told["n"]
    if not entry.preview:
        del told["preview"]
    return {FIELD: orjson.dumps(told)}


def unpack(redis_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    told: dict[str, Any] = orjson.loads(fields[FIELD])
    return Entry(n=int(redis_id.partition(b"-")[0]), **told)
