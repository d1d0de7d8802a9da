"""Batches as OpenAI's clients read them. `shapes` says the same to the document."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tasks_app.models import BatchOutcome, OpenAIBatch
from tasks_app.openai.batch_input import WINDOW
from tasks_app.openai.batches import Shown, status_of
from tasks_app.openai.ids import BATCH, FILE, shown
from tasks_app.openai.render import seconds
from tasks_app.states import Status


def batch(looked_at: Shown) -> dict[str, Any]:
    row = looked_at.row
    return {
        "id": shown(BATCH, row.pk),
        "object": "batch",
        "endpoint": row.endpoint,
        "completion_window": "24h",
        "status": status_of(looked_at),
        "input_file_id": shown(FILE, row.input_file_id),
        "output_file_id": shown(FILE, row.output_file_id) if row.output_file_id else None,
        "error_file_id": shown(FILE, row.error_file_id) if row.error_file_id else None,
        "errors": {"object": "list", "data": row.problems} if row.problems else None,
        "metadata": row.metadata,
        "request_counts": _counts(looked_at),
        "usage": _usage(row) if row.ended_at else None,
        **_times(looked_at),
    }


def _counts(looked_at: Shown) -> dict[str, int]:
    row, standing = looked_at.row, looked_at.standing
    total = row.batch.total if row.batch else 0
    if standing is None:
        return {"total": total, "completed": row.completed, "failed": row.failed}
    failed = standing.counts[Status.FAILED] + standing.counts[Status.EXPIRED]
    return {"total": total, "completed": standing.counts[Status.COMPLETED], "failed": failed}


def _usage(row: OpenAIBatch) -> dict[str, Any]:
    return {
        "input_tokens": row.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": row.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": row.input_tokens + row.output_tokens,
    }


def _times(looked_at: Shown) -> dict[str, int | None]:
    """Unix times. A batch begins when it is taken; it is being finished from the end of its last task on."""
    row = looked_at.row
    refused = row.outcome == BatchOutcome.FAILED
    ended = row.ended_at or (looked_at.standing.finished_at if looked_at.standing else None)
    return {
        "created_at": seconds(row.created_at),
        "in_progress_at": None if refused else seconds(row.created_at),
        "expires_at": None if refused else seconds(row.created_at + WINDOW),
        "finalizing_at": _seconds(ended),
        "cancelling_at": _seconds(row.cancelling_at),
        **{f"{outcome}_at": _seconds(row.closed_at) if row.outcome == outcome else None for outcome in BatchOutcome},
    }


def _seconds(moment: datetime | None) -> int | None:
    return seconds(moment) if moment else None
