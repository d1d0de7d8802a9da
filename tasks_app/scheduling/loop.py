"""The scheduler's life: lead or stand by, wake on a hint or after a second, keep house, place.

An error of the database or the broker ends a round, never the process.
"""

from __future__ import annotations

import threading
import time
from itertools import cycle

import psycopg
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from tasks_app import hints, idempotency, orphans, transitions
from tasks_app.doorbell import Doorbell
from tasks_app.scheduling import books, rounds
from tasks_app.scheduling.confidence import Confidence
from tasks_app.scheduling.leader import Leadership
from tasks_app.scheduling.memory import Memory
from tasks_app.scheduling.tidying import Tidying
from tasks_app.webhooks import retention

log = structlog.get_logger(__name__)
CLEAN_UP_INTERVAL = 60.0  # seconds; what is old may lie a little longer


class Scheduler:
    def __init__(self) -> None:
        self._leadership = Leadership()
        self._doorbell = Doorbell(hints.WAKE)
        self._stop = threading.Event()
        self._confidence = Confidence()
        self._memory: Memory | None = None  # of this leadership
        self._kept_house_at = 0.0
        self._tidying = Tidying()
        self._cleaned_up_at = float("-inf")
        self._folders = cycle(orphans.FOLDERS)

    def stop(self) -> None:
        self._stop.set()
        self._doorbell.ring()

    def run(self) -> None:
        """Until `stop`."""
        self._doorbell.start()
        while not self._stop.is_set():
            try:
                self._round()
            except (DatabaseError, psycopg.Error) as error:
                log.warning("database_away", reason=str(error).strip())
                self._follow()
                connection.close()
                self._stop.wait(settings.SCHEDULER_INTERVAL)
        self._leadership.give_up()

    def _round(self) -> None:
        if not self._leadership.held():
            self._follow()
            self._stop.wait(settings.SCHEDULER_INTERVAL)
            return
        self._confidence.note()
        if self._memory is None:
            self._memory = books.load()
            log.info("scheduler_leads")
        self._keep_house(self._memory)
        rounds.place_waiting(self._memory)
        self._doorbell.wait(settings.SCHEDULER_INTERVAL)

    def _follow(self) -> None:
        self._memory = None
        self._confidence.lose()

    def _keep_house(self, memory: Memory) -> None:
        now = time.monotonic()
        if now - self._kept_house_at < settings.SCHEDULER_INTERVAL:
            return
        self._kept_house_at = now
        for row in transitions.expire():
            log.info("task_expired", task_id=str(row.id))
        rounds.resend_unclaimed()
        books.store(memory)
        self._clean_up(now)
        if self._confidence.is_whole():  # a database that was away made every lease look lost
            for row in transitions.rescue(self._confidence.is_whole):
                log.warning("task_rescued", task_id=str(row.id), status=row.status, attempt=row.attempt)
            self._tidying.run_if_due()

    def _clean_up(self, now: float) -> None:
        """What has grown old: keys and deliveries that are not kept any longer, files of one folder of the storage."""
        if now - self._cleaned_up_at < CLEAN_UP_INTERVAL:
            return
        self._cleaned_up_at = now
        idempotency.remove_expired()
        retention.remove_old()
        try:
            removed = orphans.sweep(next(self._folders))
        except OSError as error:  # the storage's trouble is not the scheduler's
            log.warning("orphans_not_swept", reason=str(error))
        else:
            log.info("orphans_swept", removed=removed)
