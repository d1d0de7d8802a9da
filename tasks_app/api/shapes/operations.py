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
    cancel_seconds = Percentiles(help_text="From the wish to the stop, of the newest 10,000 cancelled tasks.")
    by_cancel_mode = s.DictField(child=s.IntegerField(), help_text="Of the same tasks.")
    throughput_per_minute = s.FloatField(help_text="Completed per minute over the last five minutes.")


class QueueLength(s.Serializer[Any]):
    length = s.IntegerField()
    oldest_seconds = s.FloatField()


class QueueInfo(s.Serializer[Any]):
    gpu_queue = QueueLength()


class SchedulerState(s.Serializer[Any]):
    leader = s.BooleanField()
