"""The task: one row is the promise that it will end in exactly one final state. Only `transitions` writes `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from tasks_app.models.usage import ended_index
from tasks_app.states import ACTIVE, FINAL, HELD, ON_WORKER, Phase, Status
from tenants_app.ids import uuid7
from tenants_app.models import ApiKey, Organization
from workers_app.models import TaskType

if TYPE_CHECKING:
    from tenants_app.identity import Identity


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, identity: Identity) -> TaskQuerySet:
        return self if identity.sees_all else self.filter(organization=identity.organization)

    def waiting(self) -> TaskQuerySet:
        return self.filter(status=Status.PENDING)

    def active(self) -> TaskQuerySet:
        return self.filter(status__in=sorted(ACTIVE))

    def on_worker(self) -> TaskQuerySet:
        return self.filter(status__in=sorted(ON_WORKER))

    def held(self) -> TaskQuerySet:
        return self.filter(status__in=sorted(HELD))


class Task(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="tasks", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")

    # what is asked
    task_type = models.CharField(max_length=32, choices=TaskType)
    model = models.CharField(max_length=200)  # a name, so that history outlives the catalogue
    input = models.JSONField()
    parameters = models.JSONField(default=dict)
    priority = models.PositiveSmallIntegerField(default=5)  # 10 is most urgent
    start_timeout = models.FloatField(null=True)  # seconds from creation
    execution_timeout = models.FloatField()  # seconds of inference; model load apart
    max_attempts = models.PositiveSmallIntegerField(default=3)
    webhook_url = models.URLField(max_length=2000, null=True)  # noqa: DJ001 - null is what the API says
    metadata = models.JSONField(default=dict)
    batch_id = models.UUIDField(null=True)
    retry_of = models.UUIDField(null=True)

    # where it stands
    status = models.CharField(max_length=16, choices=[(s, s) for s in Status], default=Status.PENDING)
    phase = models.CharField(max_length=16, choices=[(p, p) for p in Phase], null=True)  # noqa: DJ001
    progress = models.JSONField(null=True)  # {"fraction", "step", "total_steps"}
    not_before = models.DateTimeField(null=True)  # run_at, or the end of a backoff
    start_deadline = models.DateTimeField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)  # number of the last claimed attempt
    free_attempts = models.PositiveSmallIntegerField(default=0)  # of those, the ones that cost nothing
    engine_deaths = models.PositiveSmallIntegerField(default=0, db_default=0)  # engines that died under it
    attempt_id = models.UUIDField(null=True)  # the attempt dispatched or running now, or the last one
    worker = models.CharField(max_length=200, null=True)  # noqa: DJ001
    avoid_worker = models.CharField(max_length=200, null=True)  # noqa: DJ001 - it just failed this task
    lease_token = models.UUIDField(null=True)  # kept after the end: recognises a finish whose reply was lost
    lease_expires_at = models.DateTimeField(null=True)  # no index: keeps renewals HOT updates
    sent_at = models.DateTimeField(null=True)  # when the last message for attempt_id was sent
    last_seq = models.PositiveIntegerField(default=0)  # of the event log

    # how it ended
    result = models.JSONField(null=True)
    error = models.JSONField(null=True)
    cancellation = models.JSONField(null=True)
    queue_seconds = models.FloatField(null=True)
    model_load_seconds = models.FloatField(null=True)
    inference_seconds = models.FloatField(null=True)
    gpu_seconds = models.FloatField(default=0.0)  # of all attempts
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    images = models.PositiveSmallIntegerField(null=True)
    audio_seconds = models.FloatField(null=True)

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    dispatched_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            # the scheduler's: small, because only waiting and working rows are in them
            models.Index(
                "organization",
                Coalesce("user", 0),
                "task_type",
                "model",
                "priority",
                "id",
                name="task_queues",
                condition=Q(status="pending"),
            ),
            models.Index(fields=["worker"], name="task_on_worker", condition=Q(status__in=sorted(ON_WORKER))),
            models.Index(fields=["start_deadline"], name="task_start_deadline", condition=Q(status="pending")),
            # one for each list the API offers
            models.Index(fields=["organization", "-id"], name="task_by_organization"),
            models.Index(fields=["organization", "status", "-id"], name="task_by_status"),
            models.Index(fields=["organization", "task_type", "-id"], name="task_by_type"),
            models.Index(fields=["organization", "model", "-id"], name="task_by_model"),
            models.Index(fields=["worker", "-id"], name="task_by_worker"),
            models.Index(fields=["batch_id", "-id"], name="task_by_batch", condition=Q(batch_id__isnull=False)),
            # has it been tried again by hand? Only retries are in it
            models.Index(fields=["retry_of"], name="task_by_retry", condition=Q(retry_of__isnull=False)),
            models.Index(fields=["completed_at"], name="task_by_end"),
            ended_index("task_ended"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=sorted(Status)), name="task_status_known"),
            models.CheckConstraint(condition=Q(task_type__in=TaskType.values), name="task_type_known"),
            models.CheckConstraint(condition=Q(priority__range=(1, 10)), name="task_priority_1_to_10"),
            models.CheckConstraint(
                condition=Q(status__in=sorted(FINAL), completed_at__isnull=False)
                | Q(status__in=sorted(ACTIVE), completed_at__isnull=True),
                name="task_final_has_its_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=sorted(ON_WORKER)) | Q(worker__isnull=False, attempt_id__isnull=False),
                name="task_on_worker_names_it",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=sorted(HELD))
                | Q(lease_token__isnull=False, lease_expires_at__isnull=False, started_at__isnull=False),
                name="task_held_has_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(worker__isnull=True, attempt_id__isnull=True),
                name="task_pending_has_no_worker",
            ),
            models.CheckConstraint(
                condition=~Q(status="completed") | Q(result__isnull=False), name="task_completed_has_a_result"
            ),
            models.CheckConstraint(
                condition=~Q(status="failed") | Q(error__isnull=False), name="task_failed_has_an_error"
            ),
            models.CheckConstraint(
                condition=Q(attempt__lte=models.F("max_attempts") + models.F("free_attempts")),
                name="task_attempts_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_type} {self.id}"
