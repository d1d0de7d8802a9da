"""The shape of an event, over whatever transport it comes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s


class TaskEvent(s.Serializer[Any]):
    id = s.CharField(help_text="The position: resume after it.")
    seq = s.IntegerField(help_text="Of the log, without a gap; live output has that of the log's event before it.")
    n = s.IntegerField(required=False, help_text="Live output only: its number in this attempt, from 1 without a gap.")
    type = s.CharField()
    task_id = s.UUIDField()
    at = s.DateTimeField()
    data = s.DictField(help_text="Of the last event: the whole task.")  # type: ignore[assignment]
