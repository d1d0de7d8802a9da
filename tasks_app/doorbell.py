"""Waking a loop on a hint. Without Redis it never rings, and the loop looks by itself."""

from __future__ import annotations

import threading
import time

import redis
import structlog

from tasks_app import hints

log = structlog.get_logger(__name__)


class Doorbell:
    """Of one channel of `hints`."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._rung = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._listen, name="doorbell", daemon=True).start()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, seconds: float) -> None:
        self._rung.wait(seconds)
        self._rung.clear()

    def _listen(self) -> None:
        client = hints.connect()
        while client is not None:
            try:
                with client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(self._channel)
                    while True:
                        if subscription.get_message(timeout=5.0):
                            self.ring()
            except redis.RedisError as error:
                log.info("hints_away", reason=str(error))
                time.sleep(hints.PAUSE_AFTER_ERROR)
