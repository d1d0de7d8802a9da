"""Completed tasks as these clients read them: plain functions over rows. `shapes` says the same to the document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tasks_app.models import OpenAIFile, Task
from tasks_app.openai.ids import CHAT, COMPLETION, FILE, shown
from workers_app.models import Model, TaskType

OWNER = "baton"


def seconds(moment: datetime) -> int:
    """Unix time."""
    return int(moment.timestamp())


def model(row: Model) -> dict[str, Any]:
    return {"id": row.name, "object": "model", "created": seconds(row.created_at), "owned_by": OWNER}


def chat_completion(task: Task) -> dict[str, Any]:
    text = (task.result or {})["text"]
    return {
        "id": shown(CHAT, task.pk),
        "object": "chat.completion",
        "created": seconds(task.created_at),
        "model": task.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": finish_reason(task),
                "logprobs": None,
            }
        ],
        "usage": usage(task),
    }


def completion(task: Task) -> dict[str, Any]:
    text = (task.result or {})["text"]
    choice = {"index": 0, "text": text, "finish_reason": finish_reason(task), "logprobs": None}
    return {
        "id": shown(COMPLETION, task.pk),
        "object": "text_completion",
        "created": seconds(task.created_at),
        "model": task.model,
        "choices": [choice],
        "usage": usage(task),
    }


def finish_reason(task: Task) -> str:
    """Of an image the runner tells no reason: who used up what was allowed was cut."""
    reason: str | None = (task.result or {}).get("finish_reason")
    if reason is None and task.task_type == TaskType.IMAGE_TO_TEXT:
        return "length" if (task.output_tokens or 0) >= task.parameters["max_new_tokens"] else "stop"
    return reason or "stop"


def usage(task: Task) -> dict[str, int]:
    read, written = task.input_tokens or 0, task.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def images(task: Task, drawn: list[dict[str, str]]) -> dict[str, Any]:
    """`drawn`: {"b64_json": …} or {"url": …} for each."""
    [first, *_] = (task.result or {})["images"]
    return {
        "created": seconds(task.created_at),
        "data": drawn,
        "output_format": task.parameters["format"],
        "size": f"{first['width']}x{first['height']}",
    }


def listed(rows: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A page as these clients turn them: by the id of its last row."""
    ends: Mapping[str, Any] = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {}
    return {"object": "list", "data": rows, "first_id": None, "last_id": None, **ends, "has_more": more}


def file(row: OpenAIFile) -> dict[str, Any]:
    return {
        "id": shown(FILE, row.pk),
        "object": "file",
        "bytes": row.artifact.size_bytes,
        "created_at": seconds(row.artifact.created_at),
        "expires_at": seconds(row.artifact.expires_at) if row.artifact.expires_at else None,
        "filename": row.filename,
        "purpose": row.purpose,
        "status": "processed",
        "status_details": None,
    }
