"""Django's admin of the model catalogue. That of workers is in `tasks_app.admin`: steering one moves tasks."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from workers_app.models import Model


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "task_type", "runner", "source", "base", "is_default", "enabled", "from_file")
    list_filter = ("task_type", "runner", "enabled", "from_file")
    search_fields = ("name", "source")
    readonly_fields = ("measured_mib", "from_file", "created_at")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        if row is not None and row.from_file:
            note = "This model comes from the models file: what it says there wins at the next start."
            self.message_user(request, note, messages.INFO)
        return super().render_change_form(request, context, *args, **kwargs)
