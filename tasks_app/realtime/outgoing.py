"""What one socket still has to send: bounded, so that a client that does not read costs no memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tasks_app.api.renderers import to_json

ROOM = 256  # messages
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Outgoing:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: asyncio.Queue[str] = asyncio.Queue(ROOM)

    @property
    def is_full(self) -> bool:
        return self._queue.full()

    @property
    def is_roomy(self) -> bool:
        """Half empty: the client has read on."""
        return self._queue.qsize() <= ROOM // 2

    async def put(self, message: Mapping[str, Any]) -> None:
        """Waits for room."""
        await self._queue.put(to_json(message).decode())

    async def run(self) -> None:
        """Sends, as fast as the client reads."""
        while True:
            await self._send({"type": "websocket.send", "text": await self._queue.get()})
