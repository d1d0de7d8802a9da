"""Many tasks that were submitted as one. They name it in `batch_id`; how far they are is counted from them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from tenants_app.ids import uuid7
from tenants_app.models import Organization


class Batch(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="batches")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    total = models.PositiveIntegerField()  # as submitted; tasks may be deleted later
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.total} tasks {self.id}"
