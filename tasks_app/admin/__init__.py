"""Django's admin of tasks: everything can be read, nothing that would break an invariant can be edited."""

from tasks_app.admin.celery_results import ReadOnlyTaskResultAdmin
from tasks_app.admin.task import TaskAdmin
from tasks_app.admin.webhooks import WebhookDeliveryAdmin

__all__ = ["ReadOnlyTaskResultAdmin", "TaskAdmin", "WebhookDeliveryAdmin"]
