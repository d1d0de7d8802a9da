"""Shapes of answers about what tasks have cost."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.usage import GROUPS


class Sums(s.Serializer[Any]):
    tasks = s.IntegerField(help_text="That ended, however they did.")
    completed_tasks = s.IntegerField()
    gpu_seconds = s.FloatField(help_text="Loading, inference and wasted together.")
    load_seconds = s.FloatField(help_text="Loading the model, in attempts that completed their task.")
    inference_seconds = s.FloatField(help_text="In attempts that completed their task.")
    wasted_seconds = s.FloatField(help_text="In attempts that failed, were lost or cancelled.")
    input_tokens = s.IntegerField()
    output_tokens = s.IntegerField()
    images = s.IntegerField()
    audio_seconds = s.FloatField()


class UsageRow(Sums):
    day = s.DateField(required=False)
    organization = nullable(s.CharField, required=False)
    user = nullable(s.CharField, required=False, help_text="Null: a key of the organization's own, or deleted.")
    api_key = nullable(s.UUIDField, required=False, help_text="Null: made in the browser or with a token.")
    api_key_name = nullable(s.CharField, required=False)
    task_type = s.CharField(required=False)
    model = s.CharField(required=False)


class _Report(s.Serializer[Any]):
    to = s.DateTimeField()
    group_by = s.ListField(child=s.ChoiceField(choices=list(GROUPS)))
    results = UsageRow(many=True)
    total = Sums()


# "from" is a word of Python's.
UsageReport = type("UsageReport", (_Report,), {"from": s.DateTimeField()})
