"""Rows of who can work: a worker per Celery worker process, a model per entry of the catalogue."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from tenants_app.ids import uuid7


class TaskType(models.TextChoices):
    LLM = "llm", "LLM"
    STABLE_DIFFUSION = "stable_diffusion", "Stable Diffusion"
    TTS = "tts", "Text to speech"
    IMAGE_TO_TEXT = "image_to_text", "Image to text"


class WorkerState(models.TextChoices):
    """What the operator wants of a worker; whether it is alive is its heartbeat's matter."""

    ACTIVE = "active"
    DRAINING = "draining"  # takes no new work, so that it will be empty
    PAUSED = "paused"  # takes no new work for now
    RETIRED = "retired"  # drains, then its process ends; under this name nobody works until it is resumed


SIMULATED_RUNNER = "simulated"
ABSENT = "absent"  # engine_state of an external pool whose queue nobody consumes: it gets no work


class Worker(models.Model):
    """A worker process and its device. Its name lasts; each start is a new `incarnation`."""

    name = models.CharField(max_length=200, primary_key=True)
    incarnation = models.UUIDField()
    hostname = models.CharField(max_length=255)  # Celery's node name: its direct queue hangs on it
    state = models.CharField(max_length=16, choices=WorkerState, default=WorkerState.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    state_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    state_at = models.DateTimeField(null=True, blank=True)  # when somebody last said what they want of it
    quarantined_at = models.DateTimeField(null=True, blank=True)  # since when its engine fails its self-check
    quarantine_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    external = models.BooleanField(default=False, db_default=False)  # its engine is somebody else's Celery
    abandoned = models.PositiveSmallIntegerField(default=0, db_default=0)  # ended here, not stopped there: a slot each
    stopping = models.BooleanField(default=False)  # it got SIGTERM: it finishes what it has and leaves
    slots = models.PositiveSmallIntegerField()
    kinds = ArrayField(models.CharField(max_length=32))
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True)  # empty: all
    engine_state = models.CharField(max_length=16, default="starting")  # starting, ready, restarting, off, absent
    engine_restarts = models.PositiveIntegerField(default=0)
    device = models.JSONField(default=dict)  # type, name, memory_total_mib, memory_used_mib, utilization, …
    warm_models = models.JSONField(default=list)  # [{"name", "memory_mib"}]
    versions = models.JSONField(default=dict)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())  # no index: keeps heartbeats HOT updates
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=WorkerState.values), name="worker_state_known"),
            models.CheckConstraint(condition=models.Q(slots__gte=1), name="worker_has_a_slot"),
        ]

    def __str__(self) -> str:
        return self.name


class Model(models.Model):
    """One entry of the catalogue. A name is unique within its task type; `simulated` exists once for each."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task_type = models.CharField(max_length=32, choices=TaskType)
    name = models.CharField(max_length=200)
    runner = models.CharField(max_length=32, default="transformers")
    source = models.CharField(max_length=500, blank=True)  # hub id or absolute folder
    revision = models.CharField(max_length=100, blank=True)
    dtype = models.CharField(max_length=16, default="auto")
    memory_mib = models.PositiveIntegerField(default=0)  # 0: told by the weights when they are loaded
    measured_mib = models.PositiveIntegerField(default=0, db_default=0, editable=False)  # `learning` writes it
    keep_alive_seconds = models.FloatField(null=True, blank=True)
    pinned = models.BooleanField(default=False, db_default=False)  # once loaded it makes room for nobody
    base = models.CharField(max_length=200, blank=True, default="", db_default="")  # the model that `adapter` adapts
    adapter = models.CharField(max_length=500, blank=True, default="", db_default="")  # hub id or absolute folder
    limits = models.JSONField(default=dict, blank=True)  # caps on parameters, by name
    defaults = models.JSONField(default=dict, blank=True)  # parameter defaults, by name
    options = models.JSONField(default=dict, blank=True)  # for the runner
    description = models.CharField(max_length=500, blank=True)
    is_default = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    concurrency_limit = models.PositiveIntegerField(null=True, blank=True)  # tasks on workers at once; null: no limit
    max_per_worker = models.PositiveIntegerField(  # tasks on one worker at once; null: see `capacity`
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    worker_may_come = models.BooleanField(default=False, db_default=False)  # take tasks that nobody here can run yet
    from_file = models.BooleanField(default=False, editable=False)  # kept in step with the models file
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["task_type", "name"]
        constraints = [
            models.UniqueConstraint(fields=["task_type", "name"], name="model_name_once_per_type"),
            models.UniqueConstraint(
                fields=["task_type"], condition=models.Q(is_default=True), name="one_default_model_per_type"
            ),
            models.CheckConstraint(condition=models.Q(task_type__in=TaskType.values), name="model_type_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.task_type})"

    def clean(self) -> None:
        if bool(self.base) != bool(self.adapter):
            raise ValidationError("base and adapter belong together")

    @property
    def needs_mib(self) -> int:
        """Device memory in MiB, as an operator said or else as workers measured; 0 if nobody knows yet."""
        return self.memory_mib or self.measured_mib
