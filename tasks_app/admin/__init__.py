"""Django's admin of tasks and workers: everything can be read, nothing that would break an invariant can be edited."""

from tasks_app.admin.celery_results import ReadOnlyTaskResultAdmin
from tasks_app.admin.pause import PauseAdmin
from tasks_app.admin.task import TaskAdmin
from tasks_app.admin.webhooks import WebhookDeliveryAdmin
from tasks_app.admin.worker import WorkerAdmin

__all__ = ["PauseAdmin", "ReadOnlyTaskResultAdmin", "TaskAdmin", "WebhookDeliveryAdmin", "WorkerAdmin"]
