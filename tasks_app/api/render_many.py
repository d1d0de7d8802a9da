"""Batches, and what was done to a selection, as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tasks_app.batches import RetriedBatch, Standing
from tasks_app.bulk import Tally
from tasks_app.models import Batch
from tasks_app.states import Status


def batch(standing: Standing) -> dict[str, Any]:
    row = standing.batch
    url = f"/tasks/batch/{row.pk}"
    return {
        "batch_id": row.pk,
        "total": row.total,
        "counts": {str(status): count for status, count in standing.counts.items()},
        "progress": {"fraction": round(standing.ended / row.total, 4), "ended": standing.ended},
        "metadata": row.metadata,
        "organization": row.organization.slug,
        "user": row.user.get_username() if row.user else None,
        "created_at": row.created_at,
        "finished_at": standing.finished_at,
        "urls": {
            "self": url,
            "cancel": f"{url}/cancel",
            "retry": f"{url}/retry",
            "results": f"{url}/results",
            "tasks": f"/tasks/?batch_id={row.pk}",
        },
    }


def cancelled_batch(standing: Standing) -> dict[str, Any]:
    counts = standing.counts
    return {
        "batch_id": standing.batch.pk,
        "cancelled": counts[Status.CANCELLED],
        "cancelling": counts[Status.CANCELLING],
        "already_finished": counts[Status.COMPLETED] + counts[Status.FAILED] + counts[Status.EXPIRED],
    }


def retried_batch(batch: Batch, made: RetriedBatch) -> dict[str, Any]:
    return {
        "batch_id": made.batch_id,
        "retry_of": batch.pk,
        "retried": made.retried,
        "skipped": {"already_retried": made.already_retried, "not_failed": made.not_failed},
    }


def bulk_cancelled(tally: Tally, dry_run: bool) -> dict[str, Any]:
    why = ("already_cancelled", "already_cancelling", "already_finished", "not_found")
    return _bulk(tally, dry_run, ("cancelled", "cancelling"), why)


def bulk_retried(tally: Tally, dry_run: bool) -> dict[str, Any]:
    return _bulk(tally, dry_run, ("retried",), ("already_retried", "not_finished", "not_found"))


def bulk_deleted(tally: Tally, dry_run: bool) -> dict[str, Any]:
    return _bulk(tally, dry_run, ("deleted",), ("active", "not_found"))


def bulk_moved(tally: Tally, dry_run: bool) -> dict[str, Any]:
    return _bulk(tally, dry_run, ("changed",), ("unchanged", "not_waiting", "not_found"))


def _bulk(tally: Tally, dry_run: bool, done: Iterable[str], skipped: Iterable[str]) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "matched": tally.matched,
        **{word: tally.words[word] for word in done},
        "skipped": {word: tally.words[word] for word in skipped},
    }
