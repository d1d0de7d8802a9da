"""A stored file: an image or audio that a task made, or an image that one is to read. Bytes lie in the storage."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tasks_app.models.task import Task
from tenants_app.ids import uuid7
from tenants_app.models import Organization


class Artifact(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="artifacts")
    task = models.ForeignKey(Task, models.CASCADE, null=True, related_name="artifacts")
    is_input = models.BooleanField(default=False)
    file = models.FileField(max_length=300)
    content_type = models.CharField(max_length=100)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.content_type} {self.id}"
