"""Handing placed attempts to Celery, and telling a worker to stop one: both may be lost, neither is ever trusted.

Called outside any transaction. A message that could not be sent is sent again by the scheduler.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from celery import current_app
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from tasks_app import crash_points, wire_names

log = structlog.get_logger(__name__)
EXPIRES_AFTER = 3600.0  # seconds; a message that old was sent again long ago


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
        with current_app.producer_or_acquire() as producer:
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
                )
                sent += 1
                crash_points.reach("send.after_publish")
    except (OperationalError, OSError) as error:
        log.warning("broker_away", unsent=len(messages) - sent, reason=str(error))
    return sent


def tell_to_cancel(attempts: Sequence[tuple[str, UUID]]) -> None:
    """Make a cancel immediate: (hostname, attempt id). Returns at once; the flag in the row is the guarantee."""
    if attempts:
        threading.Thread(target=_broadcast_cancel, args=(attempts,), name="tell-to-cancel", daemon=True).start()


def _broadcast_cancel(attempts: Sequence[tuple[str, UUID]]) -> None:
    try:
        for hostname in {hostname for hostname, _ in attempts}:
            ids = [str(attempt) for name, attempt in attempts if name == hostname]
            current_app.control.broadcast("cancel_attempts", {"attempt_ids": ids}, destination=[hostname])
            current_app.control.revoke(ids, destination=[hostname])
    except (OperationalError, OSError) as error:
        log.info("cancel_not_told", count=len(attempts), reason=str(error))


def drop_queue(hostname: str) -> None:
    """A worker's own queue, with the messages that nobody will read. If the broker is away it stays, at no harm."""
    connection = current_app.connection_for_write()
    try:
        with connection, connection.channel() as channel:
            queue = worker_direct(hostname)(channel)
            queue.declare()  # only who knows a queue's bindings can delete them
            queue.delete()
    except (*connection.connection_errors, *connection.channel_errors) as error:
        log.info("queue_not_dropped", hostname=hostname, reason=str(error))
