"""What a call does, without doing it: a generator that yields requests and pauses, and gets the answers.

`Client` and `AsyncClient` perform the same plans, one on a thread and one on an event loop.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import count
from random import uniform
from typing import Any, TypeAlias, TypeVar, cast

import httpx

from baton_client.errors import ApiError, BatonError, Unreachable, api_error
from baton_client.errors import UnexpectedAnswer as Unexpected
from baton_client.reading import read

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between two tries; each time up to twice as long
TRY_AGAIN = frozenset({429, 502, 503, 504})  # nothing was done, or doing it again is safe: see `Request`


@dataclass(frozen=True, slots=True)
class Request:
    """May be sent twice: those that make something carry an Idempotency-Key, and the rest say how things shall be."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: float = 0.0  # seconds that the server was asked to hold its answer
    patience: float | None = None  # seconds for the next bytes, instead of the client's time-out


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


Step: TypeAlias = Request | Sleep
Plan: TypeAlias = Generator[Step, Any, T]


class Persistence:
    """How long to go on trying: `patience` seconds from the first failure on."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._failures = 0
        self._deadline = 0.0

    def succeeded(self) -> None:
        self._failures = 0

    def pause(self, problem: BatonError) -> float:
        """Seconds to sleep before the next try. Raises the problem when trying again is no use, or patience is over."""
        if not (isinstance(problem, Unreachable) or (isinstance(problem, ApiError) and problem.status in TRY_AGAIN)):
            raise problem
        now = time.monotonic()
        if self._failures == 0:
            self._deadline = now + self._patience
        usual = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures)
        asked = getattr(problem, "retry_after", None) or 0.0
        pause = max(uniform(usual / 2, usual), asked)
        if now + pause > self._deadline:
            raise problem
        self._failures += 1
        return pause


def persistently(request: Request, patience: float) -> Plan[httpx.Response]:
    """The answer, which is a success. Raises ApiError, Unreachable and UnexpectedAnswer."""
    persistence = Persistence(patience)
    for number in count():
        problem: BatonError
        try:
            response: httpx.Response = yield request
        except httpx.RequestError as error:
            problem = lost(error)
        else:
            if response.is_success or (response.status_code == 404 and request.method == "DELETE" and number):
                return response  # a DELETE whose first answer was lost had worked
            problem = refusal(response)
        yield Sleep(persistence.pause(problem))
    raise AssertionError("endless")


def persistent(plan: Plan[T], patience: float) -> Plan[T]:
    """The same plan, with each of its requests sent persistently."""
    answer: Any = None
    problem: BatonError | None = None
    while True:
        try:
            step = plan.throw(problem) if problem else plan.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        answer = problem = None
        try:
            if isinstance(step, Request):
                answer = yield from persistently(step, patience)
            else:
                yield step
        except BatonError as error:
            problem = error


def lost(error: httpx.RequestError) -> Unreachable:
    address = error.request.url
    reason = str(error) or type(error).__name__
    return Unreachable(f"{address.scheme}://{address.netloc.decode('ascii')} does not answer: {reason}")


def refusal(response: httpx.Response) -> BatonError:
    """Of an answer that is no success and has been read."""
    try:
        return api_error(response.status_code, response.json(), _retry_after(response))
    except (ValueError, KeyError, TypeError):
        message = f"{response.url} answers {response.status_code} {response.reason_phrase}, but not as Baton does."
    if response.status_code in TRY_AGAIN:  # a proxy before Baton says so
        error = {"code": "unavailable", "message": message}
        return api_error(response.status_code, {"error": error}, _retry_after(response))
    return Unexpected(message)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, also when the header names a date."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def document(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise Unexpected(f"{response.url} answers, and not with JSON. Is it Baton?") from None


def one(shape: type[T], request: Request) -> Plan[T]:
    return read(shape, document((yield request)))


def listed(shape: type[T], request: Request) -> Plan[tuple[T, ...]]:
    """Of an answer that is `{"results": […]}`."""
    body = document((yield request))
    try:
        return tuple(read(shape, each) for each in body["results"])
    except (KeyError, TypeError):
        raise Unexpected("The server should have sent a list, and did not.") from None


def nothing(request: Request) -> Plan[None]:
    yield request
