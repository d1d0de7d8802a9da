"""Tasks that did not complete, as errors. Every one says that sending it again at once is no use: Baton did that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from rest_framework.response import Response

from tasks_app.api.errors import SERVER, envelope
from tasks_app.models import Task
from tasks_app.openai.naming import param_of
from tasks_app.retries import RETRYABLE, FailureCode
from tasks_app.states import Status

STATUS = {  # of a failed task; all others are 500
    FailureCode.INVALID_INPUT: 400,
    FailureCode.DOWNLOAD_FAILED: 400,  # of an image that the request named
    FailureCode.MODEL_LOAD_FAILED: 503,
    FailureCode.CUDA_OUT_OF_MEMORY: 503,
    FailureCode.EXECUTION_TIMEOUT: 504,
}


@dataclass(frozen=True, slots=True)
class Failure:
    status: int
    code: str
    message: str
    param: str | None = None
    retryable: bool = False

    def body(self, request: HttpRequest) -> dict[str, Any]:
        body = envelope(request, self.status, self.message, self.code, self.param)
        body["error"]["retryable"] = self.retryable
        if self.status >= 500:
            body["error"]["type"] = SERVER
        return body


FILE_GONE = Failure(500, FailureCode.ARTIFACT_STORE_FAILED, "The file that the task made is gone.")


def failure_of(task: Task) -> Failure:
    """Why a task that has ended has no result."""
    match task.status:
        case Status.CANCELLED:
            return Failure(409, "task_cancelled", "The task was cancelled.")
        case Status.EXPIRED:
            return Failure(504, "task_expired", "The task did not start in time, and was taken from the queue.")
        case _:
            return _failed(task)


def timed_out(waited: float) -> Failure:
    """`waited`: seconds."""
    return Failure(504, "wait_timeout", f"The task did not end within {waited:g} seconds, and was cancelled.")


def _failed(task: Task) -> Failure:
    error = task.error or {}
    code = error["code"]
    param = param_of(task.task_type, error["param"]) if error.get("param") else None
    return Failure(STATUS.get(code, 500), code, error["message"], param, code in RETRYABLE)


def respond(request: HttpRequest, failure: Failure) -> Response:
    response = Response(failure.body(request), status=failure.status)
    response["X-Should-Retry"] = "false"
    return response
