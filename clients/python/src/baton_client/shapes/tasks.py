"""A task and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FINAL = frozenset({"completed", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file: what a task made, or an image for tasks to read."""

    artifact_id: str
    content_type: str
    size_bytes: int
    sha256: str
    url: str
    expires_at: datetime | None = None

    @property
    def uri(self) -> str:
        """What a task's input says to mean this file."""
        return f"artifact://{self.artifact_id}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task or an attempt failed."""

    code: str
    message: str
    type: str = "server_error"
    param: str | None = None
    retryable: bool = False
    attempt: int | None = None
    worker_id: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    fraction: float  # 0 to 1
    step: int
    total_steps: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; None for what has not happened."""

    queue_seconds: float | None = None
    model_load_seconds: float | None = None
    inference_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TaskUsage:
    gpu_seconds: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None
    audio_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Cancellation:
    requested_at: datetime | None = None
    acknowledged_at: datetime | None = None
    stopped_at: datetime | None = None
    mode: str | None = None  # dequeued, cooperative, killed, lost, abandoned


@dataclass(frozen=True, slots=True)
class Limits:
    start_timeout: float | None = None  # seconds
    execution_timeout: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Task:
    """As it was when the server was asked; nothing here changes by itself."""

    task_id: str
    task_type: str
    model: str
    status: str  # pending, dispatched, running, cancelling, completed, failed, cancelled, expired
    priority: int
    input: Mapping[str, Any]
    parameters: Mapping[str, Any]
    attempt: int
    max_attempts: int
    created_at: datetime
    phase: str | None = None  # while it runs: loading_model, inference, storing_result
    result: Mapping[str, Any] | None = None
    artifacts: tuple[Artifact, ...] = ()
    error: Failure | None = None
    progress: Progress | None = None
    worker_id: str | None = None
    timings: Timings = Timings()
    usage: TaskUsage = TaskUsage()
    cancellation: Cancellation | None = None
    limits: Limits = Limits()
    webhook_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    batch_id: str | None = None
    retry_of: str | None = None
    organization: str = ""
    user: str | None = None
    not_before: datetime | None = None
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # the JSON as it came

    @property
    def has_ended(self) -> bool:
        return self.status in FINAL

    @property
    def text(self) -> str | None:
        """What a language model or a caption model said."""
        return (self.result or {}).get("text")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a task on one worker."""

    attempt_id: str
    number: int
    worker_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None  # completed, failed, cancelled, lost, returned; None while it runs
    error: Failure | None = None
    model_load_seconds: float | None = None
    inference_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Position:
    overall: int
    own: int  # among the tasks of its organization


@dataclass(frozen=True, slots=True)
class EstimatedStart:
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task is not running yet, and when it may."""

    reason: str
    message: str  # the reason as a sentence; empty for a task that does not wait
    position: Position | None = None
    more_than: int | None = None
    estimated_start: EstimatedStart | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TaskPage:
    results: tuple[Task, ...]
    next: str | None = None
    previous: str | None = None
