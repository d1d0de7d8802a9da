"""The task's pages: find, read, cancel, retry. Every action goes through `services`, and tells its outcome per task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from tasks_app import bulk, services
from tasks_app.admin.filters import FILTERS
from tasks_app.admin.inlines import ArtifactInline, AttemptInline, DeliveryInline, EventInline
from tasks_app.admin.paging import CappedPaginator
from tasks_app.admin.read_only import ReadOnly
from tasks_app.bulk import Selection
from tasks_app.capability import NoCapableWorker
from tasks_app.models import Task
from tasks_app.quotas import LimitReached, NeverFits
from tasks_app.selectors import TaskFilter
from tasks_app.services import CancelAnswer
from tasks_app.states import FINAL
from tenants_app.identity import of_user

CANCEL_SAID = {
    CancelAnswer.CANCELLED: (messages.SUCCESS, "cancelled"),
    CancelAnswer.CANCELLING: (messages.SUCCESS, "asked to stop; it ends at its next step"),
    CancelAnswer.ALREADY_FINISHED: (messages.WARNING, "had ended already, nothing was cancelled"),
}
NO_ORGANIZATION = "you belong to no organization, so you cannot submit"
Outcome = tuple[int, str]  # a message level and what to say


@admin.register(Task)
class TaskAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "status", "task_type", "model", "organization", "priority", "worker", "attempt", "created_at",
                    "page")  # fmt: skip
    list_filter = FILTERS
    paginator = CappedPaginator
    search_fields = ("=id",)
    search_help_text = "The exact id of a task"
    list_select_related = ("organization",)
    list_per_page = 50
    show_full_result_count = False
    ordering = ("-id",)
    inlines = (ArtifactInline, AttemptInline, DeliveryInline, EventInline)
    actions = ("cancel_selected", "retry_selected", "retry_same_cause")
    change_form_template = "admin/tasks_app/task/change_form.html"
    fieldsets = (
        (None, {"fields": ("page", "status", "phase", "text", "failure", "progress", "cancellation", "result")}),
        ("Asked", {"fields": ("organization", "user", "task_type", "model", "input", "parameters", "priority",
                              "execution_timeout", "start_timeout", "max_attempts", "webhook_url", "metadata",
                              "retry_of")}),
        ("Worked on", {"fields": ("worker", "attempt", "free_attempts", "engine_deaths", "created_at", "not_before",
                                  "start_deadline", "dispatched_at", "started_at", "completed_at",
                                  "lease_expires_at")}),
        ("Cost", {"fields": ("queue_seconds", "model_load_seconds", "inference_seconds", "gpu_seconds", "input_tokens",
                             "output_tokens", "images", "audio_seconds")}),
    )  # fmt: skip
    readonly_fields = ("page", "text", "failure")

    # ------------------------------------------------------------ shown

    @admin.display(description="page")
    def page(self, task: Task) -> str:
        return format_html('<a href="{}">open</a>', reverse("task-page", args=[task.pk]))

    @admin.display(description="text of the result")
    def text(self, task: Task) -> str:
        text = (task.result or {}).get("text")
        return format_html('<pre style="white-space:pre-wrap">{}</pre>', text) if text else "–"

    @admin.display(description="error")
    def failure(self, task: Task) -> str:
        if task.error is None:
            return "–"
        shown = {name: value for name, value in task.error.items() if name != "detail"}
        lines = json.dumps(shown, indent=2) + "\n" + (task.error.get("detail") or "")
        return format_html('<pre style="white-space:pre-wrap">{}</pre>', lines)

    # ------------------------------------------------------------ done

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks_app.change_task")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks_app.add_task")

    @admin.action(description="Cancel the selected tasks", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        for task in tasks:
            self._tell(request, task, _cancel(request, task))

    @admin.action(description="Submit the selected tasks again", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        for task in tasks.select_related("organization"):
            self._tell(request, task, _retry(request, task))

    @admin.action(description="Submit all failures with these error codes again", permissions=["retry"])
    def retry_same_cause(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        identity = of_user(request.user)  # type: ignore[arg-type]
        if identity is None:
            self.message_user(request, NO_ORGANIZATION, messages.ERROR)
            return
        for code in sorted({task.error["code"] for task in tasks if task.error}):
            try:
                words = bulk.retry(identity, Selection(narrowed=TaskFilter(error_code=code))).words
            except (LimitReached, NeverFits) as error:
                self.message_user(request, f"With {code}: not all were submitted again: {error}", messages.WARNING)
                continue
            said = f"With {code}: {words['retried']} submitted again, {words['already_retried']} had been before."
            self.message_user(request, said, messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        verbs = [
            path("<uuid:pk>/cancel/", self._verb(_cancel, self.has_cancel_permission), name="task-admin-cancel"),
            path("<uuid:pk>/retry/", self._verb(_retry, self.has_retry_permission), name="task-admin-retry"),
        ]
        return verbs + super().get_urls()

    def _verb(
        self, verb: Callable[[HttpRequest, Task], Outcome], allowed: Callable[[HttpRequest], bool]
    ) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, pk: Any) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not allowed(request):
                raise PermissionDenied
            task = get_object_or_404(Task.objects.select_related("organization"), pk=pk)
            self._tell(request, task, verb(request, task))
            return redirect("admin:tasks_app_task_change", pk)

        return self.admin_site.admin_view(view)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        status = Task.objects.filter(pk=object_id).values_list("status", flat=True).first()
        verbs = {
            "may_cancel": status is not None and status not in FINAL and self.has_cancel_permission(request),
            "may_retry": status in FINAL and self.has_retry_permission(request),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **verbs})

    def _tell(self, request: HttpRequest, task: Task, outcome: Outcome) -> None:
        level, said = outcome
        self.message_user(request, f"{task.pk}: {said}.", level)


def _cancel(request: HttpRequest, task: Task) -> Outcome:
    try:
        return CANCEL_SAID[services.cancel(task, by=request.user.get_username())]
    except Task.DoesNotExist:
        return messages.WARNING, "has been deleted meanwhile"


def _retry(request: HttpRequest, task: Task) -> Outcome:
    identity = of_user(request.user)  # type: ignore[arg-type]
    if identity is None:
        return messages.ERROR, NO_ORGANIZATION
    try:
        again = services.retry(identity, task)
    except services.NotFinished:
        return messages.WARNING, f"is {task.status}; only a task that ended can be tried again"
    except (NoCapableWorker, LimitReached, NeverFits) as error:
        return messages.WARNING, f"was not submitted again: {error}".rstrip(".")
    return messages.SUCCESS, f"submitted again as {again.pk}"
