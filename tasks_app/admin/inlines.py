"""What belongs to a task, shown below it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from tasks_app.admin.read_only import ReadOnly
from tasks_app.models import Artifact, Attempt, TaskEvent, WebhookDelivery


class AttemptInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Attempt
    fields = ("number", "worker", "started_at", "ended_at", "outcome", "error", "model_load_seconds",
              "inference_seconds", "relief", "celery_id")  # fmt: skip
    readonly_fields = ("celery_id",)
    extra = 0
    can_delete = False

    @admin.display(description="Celery task id")
    def celery_id(self, attempt: Attempt) -> str:
        return str(attempt.pk)


class EventInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = TaskEvent
    fields = ("seq", "at", "type", "data")
    readonly_fields = fields
    ordering = ("seq",)
    extra = 0
    can_delete = False


class ArtifactInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Artifact
    fields = ("shown", "is_input", "content_type", "size_bytes", "sha256", "created_at")
    readonly_fields = ("shown",)
    extra = 0
    can_delete = False

    @admin.display(description="content")
    def shown(self, artifact: Artifact) -> str:
        return show(artifact)


class DeliveryInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = WebhookDelivery
    fields = ("state", "tries", "last_status", "last_error", "due_at", "ended_at")
    verbose_name_plural = "webhook"
    extra = 0
    can_delete = False
    show_change_link = True


def show(artifact: Artifact) -> str:
    """The image itself, an audio player, or a link."""
    url: Any = reverse("api-artifact", args=[artifact.pk])
    if artifact.content_type.startswith("image/"):
        return format_html(
            '<a href="{0}"><img src="{0}" alt="artifact" loading="lazy" style="max-width:16rem"></a>', url
        )
    if artifact.content_type.startswith("audio/"):
        return format_html('<audio controls preload="none" src="{}"></audio>', url)
    return format_html('<a href="{}">download</a>', url)
