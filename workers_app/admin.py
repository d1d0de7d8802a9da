"""Django's admin of workers (only what the operator decides can be changed) and of the model catalogue."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from workers_app import health
from workers_app.models import Model, Worker, WorkerState


@admin.register(Worker)
class WorkerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        *("name", "health", "state", "slots", "external"),
        *("engine_state", "engine_restarts", "heartbeat_at", "started_at"),
    )
    list_filter = ("state", "external", "engine_state")
    search_fields = ("name",)
    actions = ("pause", "drain", "resume")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["health", *(field.name for field in Worker._meta.fields if field.name != "state")]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only what is gone: a live worker would come back with its next start, its tasks would not."""
        return obj is None or health.of(obj, timezone.now()) in (health.Health.STOPPED, health.Health.LOST)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.display(description="health")
    def health(self, worker: Worker) -> str:
        return health.of(worker, timezone.now())

    @admin.action(description="Pause: take no new work for now", permissions=["change"])
    def pause(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.PAUSED)

    @admin.action(description="Drain: finish what runs, take no new work", permissions=["change"])
    def drain(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.DRAINING)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.ACTIVE)

    def _set(self, request: HttpRequest, workers: QuerySet[Worker], state: WorkerState) -> None:
        for worker in workers:
            before, worker.state = worker.state, state
            worker.save(update_fields=["state"])
            self.log_change(request, worker, f"state: {before} → {state}")
            self.message_user(request, f"{worker.name}: {before} → {state}.", messages.SUCCESS)


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "task_type", "runner", "source", "is_default", "enabled", "from_file")
    list_filter = ("task_type", "runner", "enabled", "from_file")
    search_fields = ("name", "source")
    readonly_fields = ("from_file", "created_at")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        if row is not None and row.from_file:
            note = "This model comes from the models file: what it says there wins at the next start."
            self.message_user(request, note, messages.INFO)
        return super().render_change_form(request, context, *args, **kwargs)
