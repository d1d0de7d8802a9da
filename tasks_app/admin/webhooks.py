"""What was told to clients' addresses: find it, read it, send it again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from tasks_app.admin.paging import CappedPaginator
from tasks_app.admin.read_only import ReadOnly
from tasks_app.models import WebhookDelivery
from tasks_app.webhooks import deliveries


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "state", "host", "organization", "tries", "last_status", "last_error", "due_at", "created_at")
    list_filter = ("state", "organization")
    paginator = CappedPaginator
    search_fields = ("=id", "=task__id")
    search_help_text = "The exact id of a delivery or of a task"
    list_select_related = ("organization",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("resend_selected",)
    fields = ("task", "address", "organization", "state", "tries", "last_status", "last_error", "due_at", "created_at",
              "ended_at")  # fmt: skip
    readonly_fields = ("address",)

    @admin.display(description="address")
    def address(self, delivery: WebhookDelivery) -> str:
        return delivery.task.webhook_url or "–"

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks_app.change_webhookdelivery")

    @admin.action(description="Send the selected deliveries again", permissions=["resend"])
    def resend_selected(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> None:
        for delivery in rows.select_related("task"):
            deliveries.resend(delivery)
            self.message_user(request, f"{delivery.pk}: is due now.", messages.SUCCESS)
