"""Since when the database has answered without a break. A rescue must not take its silence for that of the workers.

A database that is frozen gives no error: whoever asks it just waits, and when it goes on every lease has run out.
"""

from __future__ import annotations

import time

from django.conf import settings


class Confidence:
    """Of the scheduler, which asks every SCHEDULER_INTERVAL. Times are monotonic."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._answered_at = 0.0

    def lose(self) -> None:
        """It did not answer, or this scheduler does not lead."""
        self._since = None

    def note(self) -> None:
        """It answered just now. Leases, which are renewed five times in their length, outlive a pause of half of it."""
        now = time.monotonic()
        pause = now - self._answered_at
        if self._since is None or pause > settings.LEASE_SECONDS / 2 + settings.SCHEDULER_INTERVAL:
            self._since = now
        self._answered_at = now

    def is_whole(self) -> bool:
        """It has answered for one whole lease, and just now: every worker that lives has renewed what it runs."""
        self.note()
        return self._since is not None and self._answered_at - self._since > settings.LEASE_SECONDS
