"""The sender's life: claim what is due, hand each to a thread that does nothing but the exchange, note what came of it.

Any number may run. One thread talks to the database; the others to receivers, so that a slow one costs a thread and
never a connection. An error of the database ends a round, never the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from tasks_app import crash_points, hints
from tasks_app.doorbell import Doorbell
from tasks_app.webhooks import deliveries, messages
from tasks_app.webhooks.deliveries import Claimed
from tasks_app.webhooks.posting import Message, post
from tasks_app.webhooks.verdicts import Answer, verdict_on

log = structlog.get_logger(__name__)
ROOM = 32  # exchanges at once
PER_HOST = 4  # of them with one host, so that it takes eight that are slow together to make the others wait
LAST_ANSWERS = 3.0  # seconds that a stop waits for exchanges; the others are made again when their claims run out


@dataclass(frozen=True, slots=True)
class Done:
    claimed: Claimed
    url: str
    answer: Answer


class Sender:
    def __init__(self) -> None:
        self._doorbell = Doorbell(hints.WEBHOOKS)
        self._stop = threading.Event()
        self._under_way: Counter[str] = Counter()  # by host
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()

    def stop(self) -> None:
        self._stop.set()
        self._doorbell.ring()

    def run(self) -> None:
        """Until `stop`."""
        self._doorbell.start()
        while not self._stop.is_set():
            try:
                self._settle_all()
                if not self._claim_and_send():
                    self._doorbell.wait(settings.SCHEDULER_INTERVAL)
            except DatabaseError as error:
                log.warning("database_away", reason=str(error).strip())
                connection.close()
                self._stop.wait(settings.SCHEDULER_INTERVAL)
        self._finish()

    def _claim_and_send(self) -> bool:
        """Whether there may be more at once."""
        room = ROOM - self._under_way.total()
        claimed = deliveries.claim_due(room, PER_HOST, self._under_way) if room > 0 else []
        for each in claimed:
            self._send(each)
        return bool(claimed)

    def _send(self, claimed: Claimed) -> None:
        message = messages.of(claimed)
        if message is None:
            return  # the task was deleted meanwhile, and the delivery with it
        self._under_way[claimed.host] += 1
        if deliveries.is_gone(claimed.organization_id, message.url):
            gone = Answer(problem="This address answered 410 before. Nothing more is sent there.", refused=True)
            self._done.put(Done(claimed, message.url, gone))
            return
        threading.Thread(target=self._exchange, args=(claimed, message), name="webhook", daemon=True).start()

    def _exchange(self, claimed: Claimed, message: Message) -> None:
        answer = Answer(problem="The exchange broke off.")
        try:
            answer = post(message)
            crash_points.reach("webhook.after_post")
        finally:  # whatever happened, its place is free again
            self._done.put(Done(claimed, message.url, answer))
            self._doorbell.ring()

    def _settle_all(self) -> None:
        while not self._done.empty():
            done = self._done.get()
            self._under_way[done.claimed.host] -= 1
            if not self._under_way[done.claimed.host]:
                del self._under_way[done.claimed.host]
            self._settle(done)

    def _settle(self, done: Done) -> None:
        verdict = verdict_on(done.answer, done.claimed.tries_of_round, settings.WEBHOOK_RETRY_FACTOR)
        current = deliveries.settle(done.claimed, done.url, done.answer, verdict)
        log.info(
            "webhook_tried",
            delivery_id=str(done.claimed.id),
            task_id=str(done.claimed.task_id),
            tries=done.claimed.tries,
            status=done.answer.status,
            state=verdict.state.value if current else "overtaken",
            reason=verdict.error,
        )

    def _finish(self) -> None:
        deadline = time.monotonic() + LAST_ANSWERS
        while self._under_way and time.monotonic() < deadline:
            self._doorbell.wait(0.1)
            try:
                self._settle_all()
            except DatabaseError as error:
                log.warning("database_away", reason=str(error).strip())
                return
