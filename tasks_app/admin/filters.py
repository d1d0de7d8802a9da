"""What the list of tasks can be narrowed by, without asking a million rows which values they hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.http import HttpRequest
from django.utils import timezone

from tasks_app.models.task import TaskQuerySet
from tasks_app.selectors import CLOCK_SLACK, first_id_at
from workers_app.models import Model, Worker

WINDOWS = {"1h": ("Past hour", 1), "24h": ("Past 24 hours", 24), "7d": ("Past 7 days", 7 * 24)}  # hours
Choices = list[tuple[str, str]]


class CreatedFilter(SimpleListFilter):
    """By id, which begins with the time."""

    title, parameter_name = "created", "created"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        return [(word, label) for word, (label, _) in WINDOWS.items()]

    def queryset(self, request: HttpRequest, queryset: TaskQuerySet) -> TaskQuerySet:  # type: ignore[override]
        if self.value() not in WINDOWS:
            return queryset
        begin = timezone.now() - timedelta(hours=WINDOWS[str(self.value())][1])
        return queryset.filter(pk__gte=first_id_at(begin - CLOCK_SLACK), created_at__gte=begin)


class ModelFilter(SimpleListFilter):
    title, parameter_name = "model", "model"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        return [(name, name) for name in sorted(set(Model.objects.values_list("name", flat=True)))]

    def queryset(self, request: HttpRequest, queryset: TaskQuerySet) -> TaskQuerySet:  # type: ignore[override]
        return queryset.filter(model=self.value()) if self.value() else queryset


class WorkerFilter(SimpleListFilter):
    title, parameter_name = "worker", "worker"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        return [(name, name) for name in Worker.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: TaskQuerySet) -> TaskQuerySet:  # type: ignore[override]
        return queryset.filter(worker=self.value()) if self.value() else queryset


FILTERS: list[Any] = ["status", "task_type", CreatedFilter, "organization", ModelFilter, WorkerFilter]
