"""Shapes of answers to those who watch and steer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable


class Percentiles(s.Serializer[Any]):
    p50 = nullable(s.FloatField)
    p95 = nullable(s.FloatField)
    p99 = nullable(s.FloatField)


class Metrics(s.Serializer[Any]):
    window = s.CharField()
    total_tasks = s.IntegerField()
    pending_tasks = s.IntegerField(help_text="Not started yet: pending or dispatched.")
    running_tasks = s.IntegerField(help_text="Running or being cancelled.")
    completed_tasks = s.IntegerField()
    failed_tasks = s.IntegerField()
    cancelled_tasks = s.IntegerField()
    expired_tasks = s.IntegerField()
    success_rate = s.FloatField(help_text="completed / (completed + failed) in percent; 0 while nothing has ended.")
    average_execution_time = s.FloatField(help_text="Seconds in execution of completed tasks; no queue wait.")
    by_task_type = s.DictField(child=s.IntegerField())
    by_model = s.DictField(child=s.IntegerField())
    queue_wait_seconds = Percentiles()
    throughput_per_minute = s.FloatField(help_text="Completed per minute over the last five minutes.")


class QueueLength(s.Serializer[Any]):
    length = s.IntegerField()
    oldest_seconds = s.FloatField()


class QueueInfo(s.Serializer[Any]):
    gpu_queue = QueueLength()


class SchedulerState(s.Serializer[Any]):
    leader = s.BooleanField()


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
    loaded_models = LoadedModel(many=True)


class WorkerStats(s.Serializer[Any]):
    name = s.CharField()
    status = s.ChoiceField(choices=["online", "late", "lost", "stopped"])
    state = s.ChoiceField(choices=["active", "draining", "paused"])
    external = s.BooleanField(help_text="It hands its tasks to somebody else's Celery.")
    stopping = s.BooleanField()
    engine_state = s.CharField()
    engine_restarts = s.IntegerField()
    slots = s.IntegerField()
    active_tasks = s.IntegerField(help_text="Running or being cancelled.")
    reserved_tasks = s.IntegerField(help_text="Dispatched, not claimed yet.")
    scheduled_tasks = s.IntegerField(help_text="Always 0: what is to run later waits in the queue, not on a worker.")
    abandoned_tasks = s.IntegerField(
        help_text="Ended here, and still computed by an external worker that cannot be stopped: a slot each."
    )
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
