"""Every word that is exchanged with somebody else's Celery: publish, look, revoke, ask, listen. Decides nothing.

A Celery application of its own, beside Baton's: another broker, a result backend, JSON only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery, states
from celery.exceptions import SecurityError
from kombu.exceptions import ContentDisallowed, DecodeError, OperationalError

from gpu_worker.external.roster import Description

REPLY_SECONDS = 1.0  # a worker that lives answers within milliseconds, unless its pool is solo and computes
SOCKET_OPTIONS = {  # as for our own broker: a half-open connection must not stop us for good
    "socket_timeout": 5.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


class RemoteAway(Exception):
    """Their broker or result backend does not answer."""


class Unreadable(Exception):
    """A result that is not JSON, or names an exception that is none."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The exception of a task that failed."""

    name: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A task in their result backend. `value` is what it returned, `Raised`, or who works on it."""

    state: str
    value: Any = None


class _TheirCelery(Celery):  # type: ignore[misc]  # Celery has no types
    """Celery prefers CELERY_BROKER_URL and CELERY_RESULT_BACKEND of the environment, which are Baton's, to what it is
    told. This one does not.
    """

    def __init__(self, broker: str, backend: str) -> None:
        # No fix-ups: they are for Baton's own application and would close its database connections.
        super().__init__("external", set_as_current=False, fixups=[])
        self._broker, self.backend_cls = broker, backend

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self._broker, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self._broker, **options)


class Remote:
    def __init__(self, broker: str, backend: str, queue: str) -> None:
        self.queue = queue
        self._app = _TheirCelery(broker, backend)
        self._app.conf.update(
            accept_content=["json"],
            result_accept_content=["json"],
            task_serializer="json",
            result_serializer="json",
            task_default_queue=queue,
            broker_connection_timeout=3,
            redis_socket_timeout=5.0,
            redis_socket_connect_timeout=3.0,
            result_backend_transport_options={"retry_policy": {"max_retries": 0}},
        )
        if broker.startswith(("redis", "rediss", "sentinel")):
            self._app.conf.broker_transport_options = SOCKET_OPTIONS
        connection, store = self._app.connection_for_write(), self._app.backend
        self._away = (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
        self._away += tuple(getattr(store, "connection_errors", ()))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except self._away as error:
            raise RemoteAway(f"The external pool's Celery does not answer: {error}") from error

    # ------------------------------------------------------------ tasks

    def publish(self, request_id: str, name: str, arguments: Mapping[str, Any], time_limit: float | None) -> None:
        """Not by `send_task`: with Redis that subscribes to each result, and every image would pile up unread."""
        amqp = self._app.amqp
        message = amqp.create_task_message(request_id, name, kwargs=arguments, time_limit=time_limit)
        with self._telling(), self._app.producer_or_acquire() as producer:
            amqp.send_task_message(producer, name, message, queue=self.queue, retry=False)

    def look(self, request_id: str) -> Seen:
        """The truth about a task, as far as their result backend has it. Raises Unreadable too."""
        result = self._app.AsyncResult(request_id)
        try:
            with self._telling():
                meta = result.backend.get_task_meta(request_id, cache=False)
        except (ValueError, TypeError, DecodeError, ContentDisallowed, SecurityError) as error:
            raise Unreadable(str(error)) from error
        if meta["status"] == states.FAILURE:
            raised = meta["result"]
            return Seen(states.FAILURE, Raised(type(raised).__name__, str(raised), str(meta.get("traceback") or "")))
        return Seen(meta["status"], meta["result"])

    def forget(self, request_id: str) -> None:
        """Remove a result that was read: it may hold megabytes."""
        with self._telling():
            self._app.AsyncResult(request_id).forget()

    def kill(self, request_id: str, hostnames: Sequence[str]) -> None:
        """For prefork pools: drop it unread, or kill the process that runs it.

        SIGKILL at once: Celery forgets a task when it has signalled it, so there is no second try for one that traps
        SIGTERM. And only to `hostnames`: any worker that hears it writes REVOKED, even for what runs elsewhere.
        """
        if hostnames:
            with self._telling():
                self._app.control.revoke(request_id, destination=list(hostnames), terminate=True, signal="SIGKILL")

    def drop(self, request_id: str, hostnames: Sequence[str]) -> None:
        """For all other pools: drop it unread. `terminate` would break the thread that is about to run it."""
        if hostnames:
            with self._telling():
                self._app.control.revoke(request_id, destination=list(hostnames))

    # ------------------------------------------------------------ workers

    def where(self, request_ids: Sequence[str], hostnames: Sequence[str]) -> dict[str, dict[str, str]]:
        """By worker: what it says of these tasks, `active` or `reserved`. One that does not answer is missing."""
        if not hostnames or not request_ids:
            return {}
        answers = self._ask(hostnames, "query_task", list(request_ids))
        return {host: {task: str(state) for task, (state, *_) in known.items()} for host, known in answers.items()}

    def describe(self, hostname: str) -> Description | None:
        """None if it does not answer."""
        try:
            queues = self._ask([hostname], "active_queues").get(hostname)
            stats = self._ask([hostname], "stats").get(hostname) if queues is not None else None
            if queues is None or stats is None:
                return None
            with self._telling():
                self._app.control.enable_events(destination=[hostname])
        except RemoteAway:
            return None
        pool = stats.get("pool") or {}
        kind = str(pool.get("implementation", "")).partition(":")[0].rpartition(".")[2]
        names = frozenset(str(queue["name"]) for queue in queues)
        return Description(names, {"thread": "threads"}.get(kind, kind), int(pool.get("max-concurrency") or 1))

    def _ask(self, hostnames: Sequence[str], question: str, *values: Any) -> dict[str, Any]:
        inspect = self._app.control.inspect(list(hostnames), timeout=REPLY_SECONDS, limit=len(hostnames))
        with self._telling():
            answers = getattr(inspect, question)(*values) or {}
        return {host: answer for host, answer in answers.items() if not _is_error(answer)}

    def listen(self, handlers: Mapping[str, Callable[[Mapping[str, Any]], None]], stopped: Callable[[], bool]) -> None:
        """Events, until `stopped`. Raises RemoteAway."""
        with self._telling(), self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers=dict(handlers))
            for _ in receiver.itercapture(limit=None, timeout=None, wakeup=True):
                if stopped():
                    return


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer
