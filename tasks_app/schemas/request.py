"""The body of `POST /tasks/` but for what its task type decides."""

from __future__ import annotations

from datetime import timedelta

from rest_framework import serializers

from tasks_app.schemas.strict import MESSAGES, Choice, Integer, Metadata, Moment, Number, Strict, Text, Url
from tasks_app.webhooks.target import problem_with
from workers_app.models import TaskType

WEEK = 7 * 24 * 3600
DAY = 24 * 3600


class WebhookUrl(Url):
    def to_internal_value(self, data: object) -> str:
        url = super().to_internal_value(data)
        if problem := problem_with(url):
            raise serializers.ValidationError(problem)
        return url


class TaskRequest(Strict):
    task_type = Choice(TaskType.values)
    model = Text(1, 200, required=False, allow_null=True, help_text="Left out: the default model of the task type.")
    input = serializers.JSONField(error_messages=MESSAGES)
    parameters = serializers.JSONField(default=dict, error_messages=MESSAGES)
    priority = Integer(1, 10, default=5, help_text="10 is most urgent.")
    start_timeout = Number(
        1, WEEK, default=None, allow_null=True, help_text="Seconds after which it expires if it has not started."
    )
    execution_timeout = Number(1, DAY, default=600.0, help_text="Seconds of inference; loading the model is apart.")
    max_attempts = Integer(1, 10, default=3)
    run_at = Moment(timedelta(days=30), default=None, allow_null=True, help_text="Not before this time.")
    webhook_url = WebhookUrl(
        ("http", "https"), 2_000, default=None, allow_null=True, help_text="Told when the task has ended."
    )
    metadata = Metadata(default=dict, help_text="Text by name: at most 50 keys and 16 KiB.")


TASK_REQUEST = TaskRequest()
