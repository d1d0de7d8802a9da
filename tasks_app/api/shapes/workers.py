"""Shapes of what is said of workers, and to them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.api.shapes.operations import QueueInfo, SchedulerState
from tasks_app.schemas.strict import Choice, Strict, Text
from workers_app.models import WorkerState


class WorkerOrder(Strict):
    state = Choice(choices=WorkerState.values)
    reason = Text(0, 500, default="", help_text="Shown to operators beside the state.")


class WorkerHealth(s.Serializer[Any]):
    status = s.ChoiceField(choices=["online", "late", "lost", "stopped"])
    external = s.BooleanField(help_text="It hands its tasks to somebody else's Celery.")


class WorkersHealth(s.Serializer[Any]):
    status = s.ChoiceField(choices=["healthy", "degraded", "down"])
    total_workers = s.IntegerField()
    online_workers = s.IntegerField()
    late_workers = s.IntegerField()
    lost_workers = s.IntegerField()
    paused_workers = s.IntegerField()
    draining_workers = s.IntegerField()
    quarantined_workers = s.IntegerField(help_text="Their engine fails its self-check; they get no work.")
    external_workers = s.IntegerField(help_text="Online, and handing their tasks to somebody else's Celery.")
    workers = s.DictField(child=WorkerHealth())
    queue_info = QueueInfo()
    scheduler = SchedulerState()


class LoadedModel(s.Serializer[Any]):
    name = s.CharField()
    memory_mib = nullable(s.IntegerField)


class Gpu(s.Serializer[Any]):
    name = nullable(s.CharField)
    type = nullable(s.CharField)
    memory_total_mib = nullable(s.IntegerField)
    memory_used_mib = nullable(s.IntegerField)
    utilization = nullable(s.FloatField)
    temperature_c = nullable(s.FloatField)
    power_w = nullable(s.FloatField)
    ecc_errors = nullable(s.IntegerField, help_text="Errors of its memory that could not be corrected.")
    xid = nullable(s.IntegerField, help_text="The newest error that its driver told, by NVIDIA's number.")
    loaded_models = LoadedModel(many=True)


class StateChange(s.Serializer[Any]):
    by = s.CharField()
    reason = s.CharField(allow_blank=True)
    at = s.DateTimeField()


class Quarantine(s.Serializer[Any]):
    reason = s.CharField()
    since = s.DateTimeField()


class WorkerStats(s.Serializer[Any]):
    name = s.CharField()
    status = s.ChoiceField(choices=["online", "late", "lost", "stopped"])
    state = s.ChoiceField(choices=WorkerState.values, help_text="What the operator wants of it.")
    drained = s.BooleanField(help_text="Draining or retired, and nothing is left on it.")
    state_change = nullable(StateChange, help_text="Who said so last; told to operators only.")
    external = s.BooleanField(help_text="It hands its tasks to somebody else's Celery.")
    quarantine = nullable(Quarantine, help_text="Since when its engine fails its self-check, and how.")
    stopping = s.BooleanField()
    engine_state = s.ChoiceField(choices=["starting", "ready", "restarting", "off", "absent"])
    engine_restarts = s.IntegerField()
    slots = s.IntegerField()
    active_tasks = s.IntegerField(help_text="Running or being cancelled.")
    reserved_tasks = s.IntegerField(help_text="Dispatched, not claimed yet.")
    scheduled_tasks = s.IntegerField(help_text="Always 0: what is to run later waits in the queue, not on a worker.")
    abandoned_tasks = s.IntegerField(help_text="Ended here, and still running where nobody could stop them.")
    total_load = s.IntegerField()
    kinds = s.ListField(child=s.CharField())
    allowed_models = s.ListField(child=s.CharField())
    gpus = Gpu(many=True)
    versions = s.DictField(child=s.CharField())
    started_at = s.DateTimeField()
    last_heartbeat = s.DateTimeField()


class WorkersStats(s.Serializer[Any]):
    total_workers = s.IntegerField()
    online_workers = s.IntegerField()
    workers = s.DictField(child=WorkerStats())
    queue_info = QueueInfo()


class WorkerList(s.Serializer[Any]):
    results = WorkerStats(many=True)
