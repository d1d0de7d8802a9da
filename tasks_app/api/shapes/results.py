"""Shapes of answers about models."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from workers_app.models import TaskType


class Model(s.Serializer[Any]):
    name = s.CharField()
    task_type = s.ChoiceField(choices=TaskType.values)
    runner = s.CharField()
    description = s.CharField()
    is_default = s.BooleanField()
    limits = s.DictField()
    defaults = s.DictField()


class ModelList(s.Serializer[Any]):
    results = Model(many=True)
