"""Batches and bulk calls as plans."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from baton_client.calls import BulkFilters, Json, key_header, part, plain
from baton_client.errors import WaitTimeout
from baton_client.plans import Plan, Request, Sleep, one
from baton_client.shapes.many import (
    Batch,
    BulkCancelled,
    BulkDeleted,
    BulkMoved,
    BulkRetried,
    CancelledBatch,
    RetriedBatch,
)

T = TypeVar("T")
FIRST_LOOK, LONGEST_LOOK = 0.2, 3.0  # seconds between two looks at a batch


def submit_batch(tasks: Iterable[Json], metadata: Mapping[str, str], key: str | None) -> Plan[Batch]:
    body = {"tasks": [plain(task) for task in tasks], "metadata": dict(metadata)}
    return one(Batch, Request("POST", "/tasks/batch/", json=body, headers=key_header(key)))


def batch(batch_id: str) -> Plan[Batch]:
    return one(Batch, Request("GET", f"/tasks/batch/{part(batch_id)}"))


def wait_batch(batch_id: str, timeout: float | None) -> Plan[Batch]:
    """The batch when all of it has ended. Raises WaitTimeout."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_LOOK
    while True:
        standing = yield from batch(batch_id)
        if standing.has_ended:
            return standing
        if deadline is not None and time.monotonic() >= deadline:
            ended = f"{standing.progress.ended} of {standing.total}"
            raise WaitTimeout(f"Of batch {batch_id} {ended} tasks have ended after {timeout:g} s.", standing)
        yield Sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(LONGEST_LOOK, pause * 1.5)


def cancel_batch(batch_id: str) -> Plan[CancelledBatch]:
    return one(CancelledBatch, Request("PATCH", f"/tasks/batch/{part(batch_id)}/cancel"))


def retry_batch(batch_id: str, key: str | None) -> Plan[RetriedBatch]:
    return one(RetriedBatch, Request("POST", f"/tasks/batch/{part(batch_id)}/retry", headers=key_header(key)))


def bulk(
    shape: type[T],
    verb: str,
    ids: Sequence[str] | None,
    filters: BulkFilters,
    everything: bool,
    dry_run: bool,
    **more: int,
) -> Plan[T]:
    body: dict[str, Any] = {"dry_run": dry_run, **more}
    if ids is not None:
        body["ids"] = list(ids)
    if filters:
        body["filter"] = plain(filters) | _statuses(filters)
    if everything:
        body["all"] = True
    return one(shape, Request("POST", f"/tasks/bulk/{verb}", json=body))


def _statuses(filters: BulkFilters) -> dict[str, list[str]]:
    status = filters.get("status")
    return {} if status is None else {"status": [status] if isinstance(status, str) else list(status)}


def bulk_cancel(
    ids: Sequence[str] | None, filters: BulkFilters, everything: bool, dry_run: bool
) -> Plan[BulkCancelled]:
    return bulk(BulkCancelled, "cancel", ids, filters, everything, dry_run)


def bulk_retry(ids: Sequence[str] | None, filters: BulkFilters, everything: bool, dry_run: bool) -> Plan[BulkRetried]:
    return bulk(BulkRetried, "retry", ids, filters, everything, dry_run)


def bulk_delete(ids: Sequence[str] | None, filters: BulkFilters, everything: bool, dry_run: bool) -> Plan[BulkDeleted]:
    return bulk(BulkDeleted, "delete", ids, filters, everything, dry_run)


def bulk_priority(
    priority: int, ids: Sequence[str] | None, filters: BulkFilters, everything: bool, dry_run: bool
) -> Plan[BulkMoved]:
    return bulk(BulkMoved, "priority", ids, filters, everything, dry_run, priority=priority)
