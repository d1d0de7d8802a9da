"""The paths of the API. A trailing slash is optional everywhere."""

from __future__ import annotations

import re
from typing import Any

from django.urls import URLPattern, re_path

from tasks_app.api.views.api_keys import KeyRotateView, KeysView, KeyView
from tasks_app.api.views.artifacts import ArtifactsView, ArtifactView
from tasks_app.api.views.events import TaskEventsView
from tasks_app.api.views.many import BatchCancelView, BatchesView, BatchView, BulkCancelView, BulkRetryView
from tasks_app.api.views.models import ModelsView
from tasks_app.api.views.operations import MetricsView
from tasks_app.api.views.organization import MembersView, MemberView, OrganizationView
from tasks_app.api.views.queues import QueuesView, pause_view, resume_view
from tasks_app.api.views.tasks import TasksView, TaskView
from tasks_app.api.views.tokens import RefreshView, TokenView
from tasks_app.api.views.usage import UsageView
from tasks_app.api.views.verbs import AttemptsView, CancelView, ExplainView, RetryView
from tasks_app.api.views.webhooks import WebhookResendView, WebhookSecretView, WebhooksView
from tasks_app.api.views.workers import WorkersHealthView, WorkersStatsView, WorkersView, WorkerView
from tasks_app.models import PauseKind

PART, PATH = r"[^/\x00]+", r"[^\x00]+"


def _at(path: str, view: Any, name: str) -> URLPattern:
    """`<name>` is a part of the path; `<path:name>` may hold slashes, as names of models do."""
    pattern = re.sub(r"<(path:)?(\w+)>", lambda m: f"(?P<{m[2]}>{PATH if m[1] else PART})", path)
    route: URLPattern = re_path(f"^{pattern}/?$", view.as_view(), name=name)
    return route


PAUSABLE = {PauseKind.QUEUE: "queues", PauseKind.MODEL: "models", PauseKind.ORGANIZATION: "organizations"}
urlpatterns = [
    _at("tasks", TasksView, "api-tasks"),
    _at("tasks/stats/metrics", MetricsView, "api-metrics"),
    _at("tasks/workers/health", WorkersHealthView, "api-workers-health"),
    _at("tasks/workers/stats", WorkersStatsView, "api-workers-stats"),
    _at("tasks/batch", BatchesView, "api-batches"),
    _at("tasks/batch/<batch_id>", BatchView, "api-batch"),
    _at("tasks/batch/<batch_id>/cancel", BatchCancelView, "api-batch-cancel"),
    _at("tasks/bulk/cancel", BulkCancelView, "api-bulk-cancel"),
    _at("tasks/bulk/retry", BulkRetryView, "api-bulk-retry"),
    _at("tasks/<task_id>", TaskView, "api-task"),
    _at("tasks/<task_id>/cancel", CancelView, "api-task-cancel"),
    _at("tasks/<task_id>/retry", RetryView, "api-task-retry"),
    _at("tasks/<task_id>/attempts", AttemptsView, "api-task-attempts"),
    _at("tasks/<task_id>/events", TaskEventsView, "api-task-events"),
    _at("tasks/<task_id>/explain", ExplainView, "api-task-explain"),
    _at("artifacts", ArtifactsView, "api-artifacts"),
    _at("artifacts/<artifact_id>", ArtifactView, "api-artifact"),
    _at("models", ModelsView, "api-models"),
    _at("workers", WorkersView, "api-workers"),
    _at("workers/<name>", WorkerView, "api-worker"),
    _at("queues", QueuesView, "api-queues"),
    *(
        _at(f"{plural}/<path:name>/{verb}", view(kind), f"api-{kind}-{verb}")
        for kind, plural in PAUSABLE.items()
        for verb, view in (("pause", pause_view), ("resume", resume_view))
    ),
    _at("usage", UsageView, "api-usage"),
    _at("auth/token", TokenView, "api-token"),
    _at("auth/token/refresh", RefreshView, "api-token-refresh"),
    _at("api-keys", KeysView, "api-keys"),
    _at("api-keys/<key_id>", KeyView, "api-key"),
    _at("api-keys/<key_id>/rotate", KeyRotateView, "api-key-rotate"),
    _at("organization", OrganizationView, "api-organization"),
    _at("organization/members", MembersView, "api-members"),
    _at("organization/members/<username>", MemberView, "api-member"),
    _at("webhooks", WebhooksView, "api-webhooks"),
    _at("webhooks/secret", WebhookSecretView, "api-webhook-secret"),
    _at("webhooks/<delivery_id>/resend", WebhookResendView, "api-webhook-resend"),
]
