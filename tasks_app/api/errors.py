"""Every error as the one envelope that the API promises, whoever raised it: our views, DRF, Django or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from rest_framework import exceptions, status
from rest_framework.response import Response

from tasks_app.capability import NoCapableWorker
from tasks_app.idempotency import KeyReused
from tasks_app.models import Batch, Task
from tasks_app.pausing import NothingToPause
from tasks_app.quotas import LimitReached, NeverFits, QueueFull, QuotaExceeded
from tasks_app.rates import Rate
from tasks_app.schemas.batch import InvalidTasks, Problem
from tasks_app.schemas.problems import first_problem, name_of
from tasks_app.schemas.submission import ModelNotFound
from tasks_app.services import NotFinished, TaskActive
from tenants_app.granting import KeyChanged
from tenants_app.members import AlreadyMember, LastAdmin, NobodyOfThatName

log = structlog.get_logger(__name__)
DATABASE_RETRY_AFTER = 2  # seconds; a restarted PostgreSQL is back by then
WHOSE = {
    "key": "of this key",
    "organization": "of your organization",
    "sign-in-name": "to sign in with this name",
    "sign-in-address": "to sign in from this address",
}  # by the kind of a rate
INVALID, FORBIDDEN, SERVER = "invalid_request_error", "permission_error", "server_error"


class ApiError(exceptions.APIException):
    """An answer with a code of its own; subclasses or arguments say which."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_input"
    param: str | None = None
    retry_after: int | None = None

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, self.default_code)
        self.message, self.param = message, param


class InvalidInput(ApiError):
    """`message` is a whole sentence."""


class NotFound(ApiError):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"


class NoSuchModel(ApiError):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "model_not_found"


class AlreadyFinished(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_code = "already_finished"


class StillActive(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_code = "task_active"


class IdempotencyKeyReused(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_reused"


class KeyIsGone(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_code = "key_revoked"


class MemberConflict(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_code = "member_conflict"


class InvalidBatch(InvalidInput):
    """The first problem is the error itself; all that are listed stand beside it."""

    def __init__(self, problems: Sequence[Problem], count: int) -> None:
        others = f" (and {count - 1} more of the tasks)" if count > 1 else ""
        super().__init__(problems[0].message + others, problems[0].param)
        self.problems = problems


class PayloadTooLarge(ApiError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"


class NobodyCapable(ApiError):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "no_capable_worker"


class RateLimited(ApiError):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "rate_limited"

    def __init__(self, rate: Rate, retry_after: int) -> None:
        super().__init__(f"The limit of {rate.limit} requests per minute {WHOSE[rate.kind]} is reached.")
        self.retry_after = retry_after


class LimitIsReached(ApiError):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS

    def __init__(self, code: str, reached: LimitReached) -> None:
        self.default_code = code
        super().__init__(str(reached))
        self.retry_after = reached.retry_after


class DatabaseAway(ApiError):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "database_unavailable"
    retry_after = DATABASE_RETRY_AFTER


CODES: dict[int, tuple[str, str]] = {  # status: (type, code) of errors that are not ours
    400: (INVALID, "invalid_input"),
    401: ("authentication_error", "unauthenticated"),
    403: (FORBIDDEN, "permission_denied"),
    404: (INVALID, "not_found"),
    405: (INVALID, "method_not_allowed"),
    406: (INVALID, "not_acceptable"),
    413: (INVALID, "payload_too_large"),
    415: (INVALID, "unsupported_media_type"),
    429: ("rate_limit_error", "rate_limited"),
    500: (SERVER, "internal_error"),
    503: (SERVER, "unavailable"),
    504: (SERVER, "wait_timeout"),
}


def envelope(
    request: HttpRequest, status_code: int, message: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    kind, usual = CODES.get(status_code, (INVALID, "invalid_input"))
    return {
        "error": {
            "type": kind,
            "code": code or usual,
            "message": message,
            "param": param,
            "retryable": status_code in (429, 503),
            "request_id": getattr(request, "request_id", None),
        },
        "detail": message,
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. None lets the error pass to Django, which answers 500 and logs it."""
    known = _translate(error)
    if not isinstance(known, exceptions.APIException):
        return None
    code, param = (known.default_code, known.param) if isinstance(known, ApiError) else (None, None)
    message = str(known.detail)
    if isinstance(known, exceptions.ValidationError):
        param, predicate = first_problem(known.detail)
        message = f"{name_of(param)} {predicate}"
    response = Response(
        envelope(context["request"], known.status_code, message, code, param or None), status=known.status_code
    )
    if isinstance(known, InvalidBatch):
        response.data["errors"] = [asdict(problem) for problem in known.problems]
    if isinstance(known, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        response["WWW-Authenticate"] = getattr(known, "auth_header", None) or "Bearer"
    if wait := getattr(known, "retry_after", None) or getattr(known, "wait", None):
        response["Retry-After"] = str(int(wait))
    return response


def _translate(error: Exception) -> Exception:
    match error:
        case Http404():
            return NotFound("There is nothing here.")
        case PermissionDenied():
            return exceptions.PermissionDenied(str(error) or None)
        case RequestDataTooBig():
            return PayloadTooLarge(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
        case SuspiciousOperation():
            return InvalidInput("The request cannot be read.")
        case Task.DoesNotExist() | Batch.DoesNotExist():
            return NotFound("It has been deleted.")
        case KeyReused():
            return IdempotencyKeyReused("This Idempotency-Key was used with another request.", "Idempotency-Key")
        case InvalidTasks():
            return InvalidBatch(error.problems, error.count)
        case ModelNotFound():
            return NoSuchModel(str(error), "model")
        case NoCapableWorker():
            return NobodyCapable(str(error), "model")
        case QueueFull():
            return LimitIsReached("queue_full", error)
        case QuotaExceeded():
            return LimitIsReached("quota_exceeded", error)
        case NeverFits():
            return InvalidInput(str(error))
        case NothingToPause():
            return NotFound(str(error))
        case TaskActive():
            return StillActive("The task has not ended; cancel it first, or use force=true.")
        case NotFinished():
            return StillActive("Only a task that has ended can be tried again.")
        case KeyChanged():
            return KeyIsGone("The key is revoked, belongs to someone who left, or was rotated at the same moment.")
        case NobodyOfThatName():
            return NotFound("There is no user of that name.")
        case AlreadyMember():
            return MemberConflict("They are a member already; change their role instead.", "username")
        case LastAdmin():
            return MemberConflict("They are the last admin of the organization; make somebody else one first.")
        case OperationalError() | InterfaceError():
            log.warning("database_away", reason=str(error).strip())
            return DatabaseAway("The database does not answer. Try again soon.")
    return error
