"""What tasks have cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Of tasks that ended, however they did."""

    tasks: int = 0
    completed_tasks: int = 0
    gpu_seconds: float = 0.0  # loading, inference and wasted together
    load_seconds: float = 0.0
    inference_seconds: float = 0.0
    wasted_seconds: float = 0.0  # in attempts that failed, were lost or cancelled
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    audio_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UsageRow(UsageSums):
    """The sums of one group. Of the names below those are set that were grouped by."""

    day: str | None = None
    organization: str | None = None
    user: str | None = None
    api_key: str | None = None
    api_key_name: str | None = None
    task_type: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    results: tuple[UsageRow, ...]
    total: UsageSums
    to: datetime
    group_by: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def since(self) -> datetime:
        """What the API calls `from`."""
        return datetime.fromisoformat(self.raw["from"])
