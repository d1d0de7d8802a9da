"""The event log of a task: one row per change, `seq` without gaps, written in the transaction of the change."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tasks_app.models.task import Task


class TaskEvent(models.Model):
    task = models.ForeignKey(Task, models.CASCADE, related_name="events", db_index=False)
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=32)  # task.created, task.dispatched, …
    at = models.DateTimeField(db_default=Now())
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["task_id", "seq"]
        constraints = [models.UniqueConstraint(fields=["task", "seq"], name="event_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
