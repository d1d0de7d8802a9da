"""Whose a key is, for as long as a few seconds: a look-up costs about a millisecond. No secret stays in memory."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenants_app.identity import Identity

SECONDS = 5.0  # in another process a revoked key, or the key of someone who left, may live this much longer
MAX = 10_000  # entries


class KeyCache:
    """Recently seen keys by the hash of their clear text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[bytes, tuple[float, Identity]] = {}
        self._cleared = 0

    def find(self, key: str) -> Identity | None:
        hit = self._seen.get(_digest(key))
        return hit[1] if hit and time.monotonic() < hit[0] else None

    def started(self) -> int:
        """To be told to `keep`, so that what was read before a `clear` is not kept after it."""
        return self._cleared

    def keep(self, key: str, identity: Identity, seconds: float, started: int) -> None:
        with self._lock:
            if started != self._cleared:
                return
            if len(self._seen) >= MAX:
                self._seen.clear()
            self._seen[_digest(key)] = (time.monotonic() + min(seconds, SECONDS), identity)

    def clear(self) -> None:
        with self._lock:
            self._cleared += 1
            self._seen.clear()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


key_cache = KeyCache()
