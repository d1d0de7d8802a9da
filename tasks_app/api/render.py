"""Rows as the API shows them: plain functions, because a serializer costs ten times as much on the hottest path.

`documents` says the same to the OpenAPI generator, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any

from tasks_app.models import Artifact, Attempt, DeliveryState, Task, WebhookDelivery
from tasks_app.retries import RETRYABLE, FailureCode
from tasks_app.selectors import Shown
from workers_app.models import Model


def task(shown: Shown) -> dict[str, Any]:
    row = shown.task
    url = f"/tasks/{row.id}"
    ended = row.completed_at
    return {
        "task_id": row.id,
        "task_type": row.task_type,
        "model": row.model,
        "status": row.status,
        "phase": row.phase,
        "priority": row.priority,
        "input": row.input,
        "parameters": row.parameters,
        "result": row.result,
        "artifacts": [artifact(output) for output in shown.outputs],
        "error": error(row) if row.error else None,
        "progress": row.progress,
        "attempt": row.attempt,
        "max_attempts": row.max_attempts,
        "worker_id": row.worker,
        "timings": {
            "queue_seconds": row.queue_seconds,
            "model_load_seconds": row.model_load_seconds,
            "inference_seconds": row.inference_seconds,
            "total_seconds": (ended - row.created_at).total_seconds() if ended else None,
        },
        "usage": {
            "gpu_seconds": row.gpu_seconds,
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "images": row.images,
            "audio_seconds": row.audio_seconds,
        },
        "cancellation": cancellation(row.cancellation) if row.cancellation else None,
        "limits": {"start_timeout": row.start_timeout, "execution_timeout": row.execution_timeout},
        "webhook_url": row.webhook_url,
        "metadata": row.metadata,
        "batch_id": row.batch_id,
        "retry_of": row.retry_of,
        "organization": shown.organization,
        "user": shown.user,
        "created_at": row.created_at,
        "not_before": row.not_before,
        "dispatched_at": row.dispatched_at,
        "started_at": row.started_at,
        "completed_at": ended,
        "urls": {"self": url, "cancel": f"{url}/cancel", "events": f"{url}/events"},
    }


def artifact(row: Artifact) -> dict[str, Any]:
    return {
        "artifact_id": row.id,
        "content_type": row.content_type,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "url": f"/artifacts/{row.id}",
        "expires_at": row.expires_at,
    }


def error(row: Task) -> dict[str, Any]:
    """Why a task failed. The traceback in `detail` is for operators and never shown here."""
    return {**_failure(row.error or {}), "attempt": row.error and row.error.get("attempt"), "worker_id": row.worker}


def _failure(stored: dict[str, Any]) -> dict[str, Any]:
    code = stored["code"]
    return {
        "type": "invalid_request_error" if code == FailureCode.INVALID_INPUT else "server_error",
        "code": code,
        "message": stored["message"],
        "param": stored.get("param"),
        "retryable": code in RETRYABLE,
    }


def cancellation(stored: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL writes +00:00 into its JSON; the API says Z."""
    names = ("requested_at", "acknowledged_at", "stopped_at")
    times = {name: (stored.get(name) or "").replace("+00:00", "Z") or None for name in names}
    return {**times, "mode": stored.get("mode")}


def attempt(row: Attempt) -> dict[str, Any]:
    return {
        "attempt_id": row.id,
        "number": row.number,
        "worker_id": row.worker,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "outcome": row.outcome,
        "error": _failure(row.error) if row.error else None,
        "model_load_seconds": row.model_load_seconds,
        "inference_seconds": row.inference_seconds,
        "relief": row.relief,
    }


def delivery(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "task_id": row.task_id,
        "url": row.task.webhook_url,
        "state": row.state,
        "tries": row.tries,
        "last_status": row.last_status,
        "last_error": row.last_error or None,
        "next_try_at": row.due_at if row.state == DeliveryState.PENDING else None,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }


def model(row: Model) -> dict[str, Any]:
    return {
        "name": row.name,
        "task_type": row.task_type,
        "runner": row.runner,
        "description": row.description,
        "is_default": row.is_default,
        "limits": row.limits,
        "defaults": row.defaults,
    }


def etag(row: Task) -> str:
    """Weak: it names what can change in a task's life, not the bytes."""
    progress = row.progress or {}
    return f'W/"{row.id.hex}-{row.last_seq}-{row.phase or ""}-{progress.get("step", "")}"'
