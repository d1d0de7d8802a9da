"""Shapes of answers about what waits, and about what is paused."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.explaining import Stage
from tasks_app.models import PauseKind
from tasks_app.scheduling.snapshot import WaitReason


class Position(s.Serializer[Any]):
    overall = s.IntegerField()
    own = s.IntegerField(help_text="Among the tasks of its organization.")


class EstimatedStart(s.Serializer[Any]):
    earliest = nullable(s.DateTimeField)
    latest = nullable(s.DateTimeField)


class Explanation(s.Serializer[Any]):
    reason = s.ChoiceField(choices=[*WaitReason, *Stage])
    message = s.CharField(help_text="The reason as a sentence; empty for a task that does not wait.")
    position = Position(allow_null=True)
    more_than = nullable(s.IntegerField, help_text="So many of its own queue stand before it; told of long lines.")
    estimated_start = EstimatedStart(allow_null=True)


class Pause(s.Serializer[Any]):
    kind = s.ChoiceField(choices=PauseKind.values)
    name = s.CharField()
    by = s.CharField()
    reason = s.CharField()
    at = s.DateTimeField()
    until = nullable(s.DateTimeField)


class Queue(s.Serializer[Any]):
    name = s.CharField(help_text="A task type.")
    length = s.IntegerField()
    oldest_seconds = s.FloatField()
    running = s.IntegerField(help_text="On workers: dispatched, running or being cancelled.")
    paused = Pause(allow_null=True)


class QueueList(s.Serializer[Any]):
    results = Queue(many=True)
    paused = Pause(many=True, help_text="Everything that is paused: queues, models, organizations.")
