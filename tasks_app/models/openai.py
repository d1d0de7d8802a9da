"""What OpenAI's clients keep here: files with requests or answers, and the batches made of them. Written by
`tasks_app.openai`; the bytes of a file are an artifact, and the work of a batch is an ordinary batch.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from tasks_app.models.artifact import Artifact
from tasks_app.models.batch import Batch
from tenants_app.ids import uuid7
from tenants_app.models import Organization


class FilePurpose(models.TextChoices):
    BATCH = "batch"  # requests, uploaded
    BATCH_OUTPUT = "batch_output"  # answers, made here


class OpenAIFile(models.Model):
    artifact = models.OneToOneField(Artifact, models.CASCADE, primary_key=True, related_name="openai_file")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=16, choices=FilePurpose)

    class Meta:
        ordering = ["-artifact_id"]
        indexes = [models.Index(fields=["organization", "-artifact_id"], name="openai_file_by_organization")]

    def __str__(self) -> str:
        return f"{self.filename} {self.pk}"


class BatchOutcome(models.TextChoices):
    """How it ended, by the words of these clients."""

    FAILED = "failed"  # its file could not be taken: no task was made
    COMPLETED = "completed"  # whatever became of single tasks
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class OpenAIBatch(models.Model):
    """Files are named by id: they may be deleted, and the batch still says which they were."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    batch = models.OneToOneField(Batch, models.SET_NULL, null=True, related_name="openai_batch")
    endpoint = models.CharField(max_length=64)
    input_file_id = models.UUIDField()
    metadata = models.JSONField(default=dict)
    problems = models.JSONField(default=list)  # of its file: [{"code", "line", "message", "param"}]
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    cancelling_at = models.DateTimeField(null=True)

    # once all of its tasks have ended and its files are made
    outcome = models.CharField(max_length=16, choices=BatchOutcome, null=True)  # noqa: DJ001
    ended_at = models.DateTimeField(null=True)  # the end of its last task
    closed_at = models.DateTimeField(null=True)
    output_file_id = models.UUIDField(null=True)
    error_file_id = models.UUIDField(null=True)
    completed = models.PositiveIntegerField(default=0)  # tasks
    failed = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "-id"], name="openai_batch_by_organization")]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.id}"
