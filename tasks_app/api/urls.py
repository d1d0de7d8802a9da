"""The paths of the API. A trailing slash is optional everywhere."""

from __future__ import annotations

import re
from typing import Any

from django.urls import URLPattern, re_path

from tasks_app.api.views.artifacts import ArtifactsView, ArtifactView
from tasks_app.api.views.models import ModelsView
from tasks_app.api.views.operations import MetricsView, WorkersHealthView, WorkersStatsView, WorkersView
from tasks_app.api.views.tasks import TasksView, TaskView
from tasks_app.api.views.verbs import AttemptsView, CancelView, RetryView
from tasks_app.api.views.webhooks import WebhookResendView, WebhookSecretView, WebhooksView


def _at(path: str, view: Any, name: str) -> URLPattern:
    pattern = re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", path)
    route: URLPattern = re_path(f"^{pattern}/?$", view.as_view(), name=name)
    return route


urlpatterns = [
    _at("tasks", TasksView, "api-tasks"),
    _at("tasks/stats/metrics", MetricsView, "api-metrics"),
    _at("tasks/workers/health", WorkersHealthView, "api-workers-health"),
    _at("tasks/workers/stats", WorkersStatsView, "api-workers-stats"),
    _at("tasks/<task_id>", TaskView, "api-task"),
    _at("tasks/<task_id>/cancel", CancelView, "api-task-cancel"),
    _at("tasks/<task_id>/retry", RetryView, "api-task-retry"),
    _at("tasks/<task_id>/attempts", AttemptsView, "api-task-attempts"),
    _at("artifacts", ArtifactsView, "api-artifacts"),
    _at("artifacts/<artifact_id>", ArtifactView, "api-artifact"),
    _at("models", ModelsView, "api-models"),
    _at("workers", WorkersView, "api-workers"),
    _at("webhooks", WebhooksView, "api-webhooks"),
    _at("webhooks/secret", WebhookSecretView, "api-webhook-secret"),
    _at("webhooks/<delivery_id>/resend", WebhookResendView, "api-webhook-resend"),
]
