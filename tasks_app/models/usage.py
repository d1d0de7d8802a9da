"""What a deleted task had cost: the task goes, its accounting stays. And what an organization has spent today."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from tenants_app.models import ApiKey, Organization
from workers_app.models import TaskType

COUNTED = (
    "user_id", "api_key_id", "task_type", "model", "status", "gpu_seconds", "model_load_seconds", "inference_seconds",
    "input_tokens", "output_tokens", "images", "audio_seconds",
)  # fmt: skip
ACCOUNTED = ("organization_id", "created_at", "completed_at", *COUNTED)


def ended_index(name: str) -> models.Index:
    """Of tasks and of what is left of them: all that a sum of usage reads, so that it touches no row's prompt."""
    included = [column.removesuffix("_id") for column in COUNTED]
    over = Q(completed_at__isnull=False)
    return models.Index(fields=["organization", "completed_at"], include=included, condition=over, name=name)


class UsageRecord(models.Model):
    """Columns as in Task; the id is the deleted task's. One that had not ended ended when it was deleted."""

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
    model_load_seconds = models.FloatField(null=True)
    inference_seconds = models.FloatField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    images = models.PositiveSmallIntegerField(null=True)
    audio_seconds = models.FloatField(null=True)

    class Meta:
        indexes = [ended_index("usage_record_ended")]

    def __str__(self) -> str:
        return f"{self.model} {self.id}"


class Spent(models.Model):
    """What the tasks of an organization that ended from midnight (UTC) until `until` have cost; only `quotas` uses it.

    It saves adding up the whole day for each new task. What ended since is added up each time.
    """

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="+")
    until = models.DateTimeField()
    gpu_seconds = models.FloatField()
    tokens = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"{self.organization_id} until {self.until}"
