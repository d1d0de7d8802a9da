"""django-celery-results' own page, read-only: the finishing transaction is its only writer."""

from __future__ import annotations

from django.contrib import admin
from django_celery_results.admin import TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult

from tasks_app.admin.read_only import ReadOnly

admin.site.unregister([TaskResult, GroupResult])  # Baton makes no groups


@admin.register(TaskResult)
class ReadOnlyTaskResultAdmin(ReadOnly, TaskResultAdmin):  # type: ignore[misc]
    show_full_result_count = False
