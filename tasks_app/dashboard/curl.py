"""The command that asks for a task again, for pasting into a shell."""

from __future__ import annotations

import shlex

import orjson
from django.conf import settings

from tasks_app.models import Task

EXAMPLE = '{"task_type": "llm", "input": {"prompt": "Hello!"}}'


def command(body: str) -> str:
    return (
        f"curl {settings.BASE_URL}/tasks/ \\\n"
        '  -H "Authorization: Bearer $BATON_API_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def of(task: Task) -> str:
    """Parameters that were left out stay out."""
    given = {name: value for name, value in task.parameters.items() if value not in (None, [])}
    body = {"task_type": task.task_type, "model": task.model, "input": task.input, "parameters": given}
    return command(orjson.dumps(body).decode())
