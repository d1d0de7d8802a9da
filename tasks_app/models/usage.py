"""What a deleted task had cost: the task goes, its accounting stays."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants_app.models import ApiKey, Organization
from workers_app.models import TaskType

ACCOUNTED = (
    "organization_id", "user_id", "api_key_id", "task_type", "model", "status", "created_at", "completed_at",
    "gpu_seconds", "input_tokens", "output_tokens", "images", "audio_seconds",
)  # fmt: skip


class UsageRecord(models.Model):
    """Columns as in Task; the id is the deleted task's."""

    id = models.UUIDField(primary_key=True, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="usage_records")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    task_type = models.CharField(max_length=32, choices=TaskType)
    model = models.CharField(max_length=200)
    status = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    gpu_seconds = models.FloatField(default=0.0)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    images = models.PositiveSmallIntegerField(null=True)
    audio_seconds = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.model} {self.id}"
