"""Exit statuses, and errors as one or two lines instead of a traceback."""

from __future__ import annotations

import json

from baton_client.cli.output import complain, safe
from baton_client.errors import (
    ApiError,
    BatonError,
    InvalidInput,
    NoCredentials,
    NotFound,
    TaskNotCompleted,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
)

OK, FAILED, USAGE, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
TABLE = (
    "Exit status: 0 done; 1 the task did not complete, or the server refused or does not answer; 2 wrong usage, or "
    "input that the server finds invalid; 3 there is no such thing; 4 the time was up; 130 Ctrl-C."
)


def status_of(error: BatonError) -> int:
    match error:
        case WaitTimeout():
            return TIMED_OUT
        case NotFound():
            return NOT_FOUND
        case InvalidInput() | NoCredentials():
            return USAGE
    return FAILED


def report(error: BatonError, as_json: bool) -> int:
    """Says it on stderr; the exit status."""
    if as_json:
        complain(json.dumps(_document(error), ensure_ascii=False))
    else:
        complain(f"baton: {safe(str(error))}")
        for line in _advice(error):
            complain(f"       {safe(line)}")
    return status_of(error)


def _document(error: BatonError) -> dict[str, object]:
    if isinstance(error, ApiError):
        return dict(error.body)
    code = error.code if isinstance(error, TaskNotCompleted) else type(error).__name__
    return {"error": {"code": code, "message": str(error)}}


def _advice(error: BatonError) -> list[str]:
    match error:
        case ApiError() if len(error.problems) > 1:
            return [each.message for each in error.problems]
        case ApiError(param=str(param)) if param not in error.message:
            return [f"The field is {param}."]
        case Unauthenticated():
            return ["Is BATON_API_KEY right? `baton doctor` says where the key in use came from."]
        case Unreachable():
            return ["Is Baton running there? BATON_URL or --url say where to look; `baton doctor` checks more."]
        case WaitTimeout():
            return ["It goes on. `baton watch` shows a task, `baton cancel` ends it."]
        case ApiError(retry_after=float(seconds)):
            return [f"Try again in {seconds:g} s."]
    return []
