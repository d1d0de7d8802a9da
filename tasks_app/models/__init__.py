"""Rows of what is asked: the task, its attempts, its event log, its artifacts, and what deleted tasks had cost."""

from tasks_app.models.artifact import Artifact
from tasks_app.models.attempt import Attempt
from tasks_app.models.event import TaskEvent
from tasks_app.models.task import Task
from tasks_app.models.usage import UsageRecord

__all__ = ["Artifact", "Attempt", "Task", "TaskEvent", "UsageRecord"]
