"""Handing placed attempts to Celery, and telling a worker to stop one: both may be lost, neither is ever trusted.

Called outside any transaction. A message that could not be sent is sent again by the scheduler.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from tasks_app import crash_points, wire_names

log = structlog.get_logger(__name__)
EXPIRES_AFTER = 3600.0  # seconds; a message that old was sent again long ago
SEND_TIMEOUT = 3.0  # seconds; RabbitMQ confirms within milliseconds, or not at all while it is blocked or frozen


@dataclass(frozen=True, slots=True)
class Message:
    """What Celery carries: nothing that could not be lost."""

    task_id: UUID
    attempt_id: UUID
    task_type: str
    hostname: str  # Celery's node name of the worker


def send(messages: Sequence[Message]) -> int:
    """How many the broker took; the first refusal ends the round, since the next would wait for the same time-out."""
    sent = 0
    try:
        with _producer() as producer:
            for message in messages:
                current_app.send_task(
                    wire_names.TASK_NAMES[message.task_type],
                    args=[str(message.task_id)],
                    task_id=str(message.attempt_id),
                    queue=worker_direct(message.hostname),
                    producer=producer,
                    ignore_result=True,
                    retry=False,
                    expires=EXPIRES_AFTER,
                    timeout=SEND_TIMEOUT,
                    confirm_timeout=SEND_TIMEOUT,
                )
                sent += 1
                crash_points.reach("send.after_publish")
    except _broker_errors() as error:
        log.warning("broker_away", unsent=len(messages) - sent, reason=str(error))
    return sent


def discard_queue(hostname: str) -> bool:
    """Remove what lies in the queue of a worker that is gone; False if the broker is away or the worker came back.

    Redis forgets the messages and keeps the queue's name: a worker that comes back meanwhile still gets the next one.
    RabbitMQ removes the queue, and refuses while anybody reads from it.
    """
    queue = worker_direct(hostname).name
    broker = current_app.connection_for_write()
    try:
        _bound(broker)
        if broker.transport.driver_type == "amqp":
            broker.default_channel.queue_delete(queue, if_unused=True)
        else:
            broker.default_channel.queue_purge(queue)
    except _broker_errors() as error:
        log.info("queue_not_discarded", queue=queue, reason=str(error))
        return False
    finally:
        broker.collect()
    return True


def tell_to_cancel(attempts: Sequence[tuple[str, UUID]]) -> None:
    """Make a cancel immediate: (hostname, attempt id). Returns at once; the flag in the row is the guarantee."""
    if attempts:
        threading.Thread(target=_broadcast_cancel, args=(attempts,), name="tell-to-cancel", daemon=True).start()


def _broadcast_cancel(attempts: Sequence[tuple[str, UUID]]) -> None:
    broker = current_app.connection_for_write()  # not of the pool: it may hang for a while, and nobody else shall
    try:
        _bound(broker)
        for hostname in {hostname for hostname, _ in attempts}:
            ids = [str(attempt) for name, attempt in attempts if name == hostname]
            to = {"destination": [hostname], "connection": broker}
            current_app.control.broadcast("cancel_attempts", {"attempt_ids": ids}, **to)
            current_app.control.revoke(ids, **to)
    except _broker_errors() as error:
        log.info("cancel_not_told", count=len(attempts), reason=str(error))


def drop_queue(hostname: str) -> None:
    """Remove the queue of a worker that leaves for good; called by itself. If the broker is away the queue stays."""
    broker = current_app.connection_for_write()
    try:
        _bound(broker)
        queue = worker_direct(hostname)(broker.default_channel)
        queue.declare()  # only who knows a queue's bindings can delete them
        queue.delete()
    except _broker_errors() as error:
        log.info("queue_not_dropped", hostname=hostname, reason=str(error))
    finally:
        broker.collect()


@contextmanager
def _producer() -> Iterator[Any]:
    """After an error its connection is not used again: a late confirmation would be taken for that of the next."""
    with current_app.producer_or_acquire() as producer:
        try:
            _bound(producer.connection)
            # RabbitMQ removes the queue of a worker that leaves, and drops what is sent to none: declare it each round.
            producer.connection.declared_entities.clear()
            yield producer
        except _broker_errors():
            producer.connection.collect()
            raise


def _bound(broker: Any) -> None:
    """Connect, and wait for no answer longer than SEND_TIMEOUT: RabbitMQ's client has no such time-out of its own."""
    broker.ensure_connection(max_retries=1, timeout=SEND_TIMEOUT)
    if broker.transport.driver_type == "amqp":
        broker.connection.sock.settimeout(SEND_TIMEOUT)


def _broker_errors() -> tuple[type[Exception], ...]:
    """Whatever the transport raises when the broker is away; only the first connect is put into Kombu's own words."""
    broker = current_app.connection_for_write()
    return (OperationalError, OSError, *broker.connection_errors, *broker.channel_errors)
