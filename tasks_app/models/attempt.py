"""One try of a task on one worker, written by its claim. Its id is the Celery task id, its number is the fence."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tasks_app.models.task import Task
from tasks_app.states import AttemptOutcome


class Attempt(models.Model):
    id = models.UUIDField(primary_key=True, editable=False)
    task = models.ForeignKey(Task, models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    worker = models.CharField(max_length=200)
    incarnation = models.UUIDField()
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, choices=[(o, o) for o in AttemptOutcome], null=True)  # noqa: DJ001
    error = models.JSONField(null=True)  # {"code", "message", "detail"}
    model_load_seconds = models.FloatField(null=True)
    inference_seconds = models.FloatField(null=True)
    relief = models.JSONField(default=list, db_default=[])  # what the engine did when memory ran out, in order

    class Meta:
        ordering = ["task_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="attempt_number_once"),
            models.CheckConstraint(
                condition=Q(outcome=None, ended_at=None) | Q(outcome__isnull=False, ended_at__isnull=False),
                name="attempt_closed_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} on {self.worker}"
