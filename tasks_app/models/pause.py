"""What an operator has stopped for now: a queue, a model or an organization. Without a row it is not paused."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class PauseKind(models.TextChoices):
    QUEUE = "queue"  # named by its task type
    MODEL = "model"  # of any task type
    ORGANIZATION = "organization"  # named by its slug


class PauseQuerySet(models.QuerySet["Pause"]):
    def in_force(self) -> PauseQuerySet:
        return self.filter(Q(until=None) | Q(until__gt=Now()))


class Pause(models.Model):
    kind = models.CharField(max_length=16, choices=PauseKind)
    name = models.CharField(max_length=200)
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True, blank=True)  # null: until it is resumed

    objects = PauseQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "name"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="pause_once"),
            models.CheckConstraint(condition=Q(kind__in=PauseKind.values), name="pause_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
