"""What a client named a request, and what that request made. Written by `tasks_app.idempotency` and nobody else."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants_app.models import Organization


class IdempotencyKey(models.Model):
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    route = models.CharField(max_length=32)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField()  # SHA-256
    made = models.UUIDField()  # the task, or the batch
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "route", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_by_age")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
