"""Rows of what is asked: the task, its attempts, its event log, its artifacts, and what deleted tasks had cost.

Rows of what came in one request or twice: batches, idempotency keys. And rows of what the scheduler has to keep:
pauses, shares, learnt times. And the outbox of webhooks, and what OpenAI's clients keep.
"""

from tasks_app.models.artifact import Artifact
from tasks_app.models.attempt import Attempt
from tasks_app.models.batch import Batch
from tasks_app.models.event import TaskEvent
from tasks_app.models.idempotency import IdempotencyKey
from tasks_app.models.openai import BatchOutcome, FilePurpose, OpenAIBatch, OpenAIFile
from tasks_app.models.pause import Pause, PauseKind
from tasks_app.models.scheduling import LearntTime, ShareAccount
from tasks_app.models.task import Task
from tasks_app.models.usage import Spent, UsageRecord
from tasks_app.models.webhook import DeliveryState, GoneEndpoint, WebhookDelivery, WebhookSecret

__all__ = [
    "Artifact",
    "Attempt",
    "Batch",
    "BatchOutcome",
    "DeliveryState",
    "FilePurpose",
    "GoneEndpoint",
    "IdempotencyKey",
    "LearntTime",
    "OpenAIBatch",
    "OpenAIFile",
    "Pause",
    "PauseKind",
    "ShareAccount",
    "Spent",
    "Task",
    "TaskEvent",
    "UsageRecord",
    "WebhookDelivery",
    "WebhookSecret",
]
