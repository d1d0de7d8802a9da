"""What the policy decides and `transitions.dispatch` writes. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Placement:
    """This waiting task goes to this worker now, as the attempt with this id."""

    task_id: UUID
    worker: str
    attempt_id: UUID
