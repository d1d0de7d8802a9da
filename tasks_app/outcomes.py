"""What an execution returns: a frozen value that one statement of `transitions.finish` applies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tasks_app.states import CancelMode


@dataclass(frozen=True, slots=True)
class Measured:
    """What an attempt cost. Seconds; None where it does not apply."""

    model_load_seconds: float | None = None
    inference_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None
    audio_seconds: float | None = None
    relief: tuple[str, ...] = ()  # what the engine did when memory ran out

    @property
    def gpu_seconds(self) -> float:
        """Time a device was taken: model load included."""
        return (self.model_load_seconds or 0.0) + (self.inference_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """A file that already lies in the artifact storage; its row is written with the final status or not at all."""

    id: UUID
    file: str  # name in the storage
    content_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Completed:
    result: dict[str, Any]
    artifacts: tuple[StoredArtifact, ...] = ()
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True, slots=True)
class Failed:
    """`detail` is a traceback for operators."""

    code: str
    message: str
    param: str | None = None
    detail: str = ""
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True, slots=True)
class Cancelled:
    mode: CancelMode
    acknowledged_at: datetime | None = None
    result: dict[str, Any] | None = None  # what was done until then
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True, slots=True)
class Returned:
    """The worker has to stop, or is `unable` because its version does not know such a task: the task goes back to the
    queue and the attempt does not count.
    """

    reason: str
    measured: Measured = field(default_factory=Measured)
    unable: bool = False


@dataclass(frozen=True, slots=True)
class EngineDeath:
    """The engine died under the attempt. `alone`: no other attempt was there that could be to blame."""

    reason: str
    alone: bool
    measured: Measured = field(default_factory=Measured)


Outcome = Completed | Failed | Cancelled | Returned | EngineDeath
