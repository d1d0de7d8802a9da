"""Django's admin of workers: only what the operator decides can be changed, and it goes through `operating`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from tasks_app import operating
from workers_app import health
from workers_app.models import Worker, WorkerState

DECIDED = ("state", "state_reason")


@admin.register(Worker)
class WorkerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "health", "state", "state_reason", "quarantined_at", "external", "slots",
                    "engine_state", "engine_restarts", "heartbeat_at", "started_at")  # fmt: skip
    list_filter = ("state", "external", "engine_state")
    search_fields = ("name",)
    actions = ("pause", "drain", "retire", "resume")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["health", *(field.name for field in Worker._meta.fields if field.name not in DECIDED)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only what is gone: a live worker would come back with its next start, its tasks would not."""
        return obj is None or health.of(obj, timezone.now()) in operating.GONE

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def save_model(self, request: HttpRequest, obj: Worker, form: Any, change: bool) -> None:
        """Never the whole row: its worker writes to it all the time."""
        operating.set_worker_state(obj.name, WorkerState(obj.state), request.user.get_username(), obj.state_reason)

    @admin.display(description="health")
    def health(self, worker: Worker) -> str:
        return health.of(worker, timezone.now())

    @admin.action(description="Pause: take no new work for now", permissions=["change"])
    def pause(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.PAUSED)

    @admin.action(description="Drain: finish what runs, take no new work", permissions=["change"])
    def drain(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.DRAINING)

    @admin.action(description="Retire: drain, then end its process", permissions=["change"])
    def retire(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.RETIRED)

    @admin.action(description="Resume, also from quarantine", permissions=["change"])
    def resume(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set(request, workers, WorkerState.ACTIVE)

    def _set(self, request: HttpRequest, workers: QuerySet[Worker], state: WorkerState) -> None:
        for worker in workers:
            operating.set_worker_state(worker.name, state, request.user.get_username())
            self.log_change(request, worker, f"state: {worker.state} → {state}")
            self.message_user(request, f"{worker.name}: {worker.state} → {state}.", messages.SUCCESS)
