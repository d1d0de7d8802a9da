"""What a request leaves to the model: how long an answer may be. Called by the translations of requests."""

from __future__ import annotations

from typing import Any

from tasks_app.schemas import SCHEMAS
from workers_app.models import TaskType
from workers_app.selectors import find_model

LONGEST = SCHEMAS[TaskType.LLM].parameters.fields["max_new_tokens"].high  # type: ignore[attr-defined]


def room_to_answer(name: str | None) -> dict[str, Any]:
    """A chat whose request sets no limit goes on until the model stops, as these clients expect."""
    model = find_model(TaskType.LLM, name)
    if model is None or "max_new_tokens" in model.defaults:
        return {}
    return {"max_new_tokens": int(model.limits.get("max_new_tokens", LONGEST))}
