"""Batches, and what was done to a selection of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchProgress:
    fraction: float  # of the tasks, how many have ended, in whatever way
    ended: int


@dataclass(frozen=True, slots=True)
class Batch:
    batch_id: str
    total: int
    counts: Mapping[str, int]  # by status
    progress: BatchProgress
    created_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    organization: str = ""
    user: str | None = None
    finished_at: datetime | None = None
    task_ids: tuple[str, ...] = ()  # in the order of the request; told by the submit alone
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def has_ended(self) -> bool:
        return self.finished_at is not None or self.progress.fraction >= 1


@dataclass(frozen=True, slots=True)
class CancelledBatch:
    """How many of its tasks are what, after the call."""

    batch_id: str
    cancelled: int
    cancelling: int
    already_finished: int
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RetriedBatch:
    batch_id: str | None  # of the new batch; None if there was nothing to try again
    retry_of: str  # the batch whose failures these are
    retried: int
    skipped: Mapping[str, int]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BulkCancelled:
    dry_run: bool
    matched: int
    cancelled: int
    cancelling: int
    skipped: Mapping[str, int]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BulkRetried:
    dry_run: bool
    matched: int
    retried: int  # new tasks, which name the old ones in `retry_of`
    skipped: Mapping[str, int]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BulkDeleted:
    dry_run: bool
    matched: int
    deleted: int  # with their files
    skipped: Mapping[str, int]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BulkMoved:
    dry_run: bool
    matched: int
    changed: int  # they have another priority now
    skipped: Mapping[str, int]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
