"""One POST to a receiver, which is trusted in nothing. Called by the sender's threads; knows no database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx
from django.conf import settings

from tasks_app.deadline import Within
from tasks_app.guard import PublicOnly, RefusedAddress
from tasks_app.webhooks.target import problem_with
from tasks_app.webhooks.verdicts import Answer

MAX_ANSWER = 64 * 1024  # bytes that are read, so that an ordinary answer ends well; nobody looks at them
HEADERS = [("Content-Type", "application/json"), ("User-Agent", "Baton"), ("Accept-Encoding", "identity")]
TLS = httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Message:
    url: str
    headers: Mapping[str, str]
    body: bytes


def post(message: Message) -> Answer:
    """Follows no redirect. Whatever the receiver does: WEBHOOK_TIMEOUT_SECONDS at most, and the resolver's time."""
    if problem := problem_with(message.url):  # it was stored when the rules were others
        return Answer(problem=f"The address {problem}.", refused=True)
    plain = httpcore.SyncBackend() if settings.ALLOW_PRIVATE_WEBHOOK_HOSTS else PublicOnly()
    timed = Within(plain, time.monotonic() + settings.WEBHOOK_TIMEOUT_SECONDS)
    try:
        with httpcore.ConnectionPool(ssl_context=TLS, network_backend=timed) as pool:
            return _exchange(pool, message)
    except (RefusedAddress, httpx.InvalidURL) as error:
        return Answer(problem=f"The address is refused: {error}", refused=True)
    except httpcore.TimeoutException:
        return Answer(problem=f"The receiver did not answer within {settings.WEBHOOK_TIMEOUT_SECONDS:g} s.")
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as error:
        return Answer(problem=f"The receiver cannot be reached: {str(error) or type(error).__name__}")


def _exchange(pool: httpcore.ConnectionPool, message: Message) -> Answer:
    parts = httpx.URL(message.url)  # names with other letters than ASCII become the ones that resolvers know
    url = httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
    sent = [("Host", parts.netloc.decode()), *HEADERS, *message.headers.items()]
    with pool.stream("POST", url, headers=sent, content=message.body) as response:
        headers = {name.lower(): value for name, value in response.headers}
        _read(response)
        return Answer(response.status, retry_after=seconds_of(headers.get(b"retry-after", b"").decode("latin-1")))


def _read(response: httpcore.Response) -> None:
    """What goes wrong here changes nothing: the status has been told."""
    size = 0
    try:
        for piece in response.iter_stream():
            size += len(piece)
            if size > MAX_ANSWER:
                return
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return


def seconds_of(retry_after: str) -> float | None:
    """A Retry-After header: seconds, or a date."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
