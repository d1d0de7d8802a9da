"""What the scheduler keeps beyond its own life. Written in small batches by `scheduling.books`, never by a finish."""

from __future__ import annotations

from django.db import models

from tenants_app.models import Organization
from workers_app.models import TaskType


class ShareAccount(models.Model):
    """How much an organization has used (`user` null), or a person in it (0: keys of no person). See `fair_share`."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="share_accounts", db_index=False)
    user = models.BigIntegerField(null=True)
    virtual_seconds = models.FloatField()  # GPU-seconds per unit of weight, of what has ended

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="share_account_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.user}: {self.virtual_seconds:.1f}"


class LearntTime(models.Model):
    """How long a model takes to load and to run on one worker, or (an empty name) on any. Seconds; see `learning`."""

    task_type = models.CharField(max_length=32, choices=TaskType)
    model = models.CharField(max_length=200)
    worker = models.CharField(max_length=200, blank=True)
    runs = models.PositiveBigIntegerField()
    run = models.FloatField()
    deviation = models.FloatField()
    loads = models.PositiveBigIntegerField()
    load = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task_type", "model", "worker"], name="learnt_time_once")]

    def __str__(self) -> str:
        return f"{self.model} on {self.worker or 'any'}: {self.run:.1f} s"
