"""Shapes of answers about many tasks at once: batches, and what was done to a selection."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import Error, nullable
from tasks_app.states import Status

BatchCounts = type("BatchCounts", (s.Serializer,), {status.value: s.IntegerField() for status in Status})
BatchUrls = type(
    "BatchUrls", (s.Serializer,), {name: s.CharField() for name in ("self", "cancel", "retry", "results", "tasks")}
)


class BatchProgress(s.Serializer[Any]):
    fraction = s.FloatField(help_text="Of the tasks, how many have ended, in whatever way.")
    ended = s.IntegerField()


class Batch(s.Serializer[Any]):
    batch_id = s.UUIDField()
    total = s.IntegerField(help_text="As submitted; tasks that were deleted since are in no count.")
    counts = BatchCounts()
    progress = BatchProgress()
    metadata = s.DictField(child=s.CharField())
    organization = s.CharField()
    user = nullable(s.CharField)
    created_at = s.DateTimeField()
    finished_at = nullable(s.DateTimeField)
    urls = BatchUrls()


class SubmittedBatch(Batch):
    task_ids = s.ListField(child=s.UUIDField(), help_text="In the order of the request.")


class CancelledBatch(s.Serializer[Any]):
    """How many of its tasks are what, after the call."""

    batch_id = s.UUIDField()
    cancelled = s.IntegerField()
    cancelling = s.IntegerField()
    already_finished = s.IntegerField(help_text="Completed, failed or expired.")


class Problem(s.Serializer[Any]):
    param = s.CharField()
    message = s.CharField()


# A class attribute of that name would hide the serializers' own.
_LISTED = Problem(many=True, required=False, help_text="What is wrong with single tasks: the first 20 of them.")
BatchError = type("BatchError", (Error,), {"errors": _LISTED})


class NotCancelled(s.Serializer[Any]):
    already_cancelled = s.IntegerField()
    already_cancelling = s.IntegerField()
    already_finished = s.IntegerField()
    not_found = s.IntegerField()


class BulkCancelled(s.Serializer[Any]):
    dry_run = s.BooleanField()
    matched = s.IntegerField()
    cancelled = s.IntegerField(help_text="By this call.")
    cancelling = s.IntegerField(help_text="They run, and this call asked them to stop.")
    skipped = NotCancelled()


class NotRetried(s.Serializer[Any]):
    already_retried = s.IntegerField()
    not_finished = s.IntegerField()
    not_found = s.IntegerField()


class BulkRetried(s.Serializer[Any]):
    dry_run = s.BooleanField()
    matched = s.IntegerField()
    retried = s.IntegerField(help_text="New tasks that name the old ones in `retry_of`.")
    skipped = NotRetried()


class NotDeleted(s.Serializer[Any]):
    active = s.IntegerField(help_text="They have not ended: cancel them first.")
    not_found = s.IntegerField()


class BulkDeleted(s.Serializer[Any]):
    dry_run = s.BooleanField()
    matched = s.IntegerField()
    deleted = s.IntegerField(help_text="With their files. What they cost stays on record.")
    skipped = NotDeleted()


class NotMoved(s.Serializer[Any]):
    unchanged = s.IntegerField(help_text="They had this priority.")
    not_waiting = s.IntegerField(help_text="They have left the queue.")
    not_found = s.IntegerField()


class BulkMoved(s.Serializer[Any]):
    dry_run = s.BooleanField()
    matched = s.IntegerField()
    changed = s.IntegerField()
    skipped = NotMoved()


class NotInNewBatch(s.Serializer[Any]):
    already_retried = s.IntegerField()
    not_failed = s.IntegerField(help_text="Neither failed nor expired, so far.")


class RetriedBatch(s.Serializer[Any]):
    batch_id = nullable(s.UUIDField, help_text="Of the new batch; null if there was nothing to try again.")
    retry_of = s.UUIDField(help_text="The batch whose failures these are.")
    retried = s.IntegerField(help_text="New tasks that name the old ones in `retry_of`.")
    skipped = NotInNewBatch()
