"""Everything the library raises. `str()` of each is a sentence for people; `code` is for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from baton_client.shapes.many import Batch
    from baton_client.shapes.tasks import Task


class BatonError(Exception):
    """The base of them all."""


class NoCredentials(BatonError):
    """No address or no key was given, and none was found."""


class Unreachable(BatonError):
    """Nobody answered, for as long as the client's patience lasted. What was asked may have happened."""


class UnexpectedAnswer(BatonError):
    """Somebody answered, and not as Baton does."""


class DamagedFile(BatonError):
    """A file did not arrive as the server has it. Nothing was written to the path that was asked for."""


class WaitTimeout(BatonError):
    """It had not ended when the time was up. It goes on; `last_seen` is the task or batch as it was then."""

    def __init__(self, message: str, last_seen: Task | Batch) -> None:
        super().__init__(message)
        self.last_seen = last_seen


class TaskNotCompleted(BatonError):
    """A task that was waited for ended in another way. `task.error` says more."""

    def __init__(self, message: str, task: Task) -> None:
        super().__init__(message)
        self.task = task

    @property
    def code(self) -> str:
        """`cuda_out_of_memory`, `execution_timeout`, …; without an error the status."""
        return self.task.error.code if self.task.error else self.task.status


class TaskFailed(TaskNotCompleted):
    pass


class TaskCancelled(TaskNotCompleted):
    pass


class TaskExpired(TaskNotCompleted):
    """Its start deadline passed first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one task of a batch."""

    param: str  # tasks[17].parameters.width
    message: str


class ApiError(BatonError):
    """The server refused. Each code has a class of its own below; one that is not known here is this class."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: float | None = None) -> None:
        error = body["error"]
        super().__init__(str(error["message"]))
        self.status = status
        self.code = str(error["code"])
        self.message = str(error["message"])
        self.param: str | None = error.get("param")  # the field that is wrong: parameters.num_inference_steps
        self.request_id: str | None = error.get("request_id")  # the server's log has more under it
        self.retry_after = retry_after  # seconds
        self.problems = tuple(Problem(each["param"], each["message"]) for each in body.get("errors", ()))
        self.body = body


class InvalidInput(ApiError):
    """`param` names the field, the message its bound."""


class Unauthenticated(ApiError):
    pass


class PermissionDenied(ApiError):
    pass


class NotFound(ApiError):
    """It does not exist, or is another organization's."""


class ModelNotFound(NotFound):
    pass


class AlreadyFinished(ApiError):
    pass


class TaskActive(ApiError):
    pass


class IdempotencyKeyReused(ApiError):
    pass


class PayloadTooLarge(ApiError):
    pass


class NoCapableWorker(ApiError):
    pass


class RateLimited(ApiError):
    pass


class QuotaExceeded(RateLimited):
    pass


class QueueFull(RateLimited):
    pass


class Unavailable(ApiError):
    """The server is there and cannot do it now: its database is away."""


BY_CODE: dict[str, type[ApiError]] = {
    "invalid_input": InvalidInput,
    "unauthenticated": Unauthenticated,
    "permission_denied": PermissionDenied,
    "not_found": NotFound,
    "model_not_found": ModelNotFound,
    "already_finished": AlreadyFinished,
    "task_active": TaskActive,
    "idempotency_key_reused": IdempotencyKeyReused,
    "payload_too_large": PayloadTooLarge,
    "no_capable_worker": NoCapableWorker,
    "rate_limited": RateLimited,
    "quota_exceeded": QuotaExceeded,
    "queue_full": QueueFull,
    "database_unavailable": Unavailable,
    "unavailable": Unavailable,
}
BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    413: PayloadTooLarge,
    429: RateLimited,
    503: Unavailable,
}


def api_error(status: int, body: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """The error of the class that its code has. Raises KeyError or TypeError for a body that is no error of Baton's."""
    kind = BY_CODE.get(body["error"]["code"]) or BY_STATUS.get(status, ApiError)
    return kind(status, body, retry_after)
