"""What a subscription sends: the events of a task, or once a second what changed in an overview."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tasks_app.realtime.events import Event, Position
from tasks_app.realtime.following import Follower, follow
from tasks_app.realtime.outgoing import Outgoing
from tasks_app.realtime.overviews import Overview


class TaskFeed:
    """Live output that a client is too slow for is dropped and counted; the log never is. What had happened before it
    subscribed waits for it."""

    def __init__(self, task_id: UUID, after: Position, outgoing: Outgoing) -> None:
        self._task_id, self._last, self._outgoing = task_id, after, outgoing
        self._topic = {"channel": "task", "id": str(task_id)}
        self._dropped = 0

    async def run(self) -> None:
        with follow(self._task_id, self._last) as follower:
            async for event in follower:
                await self._tell(event, follower)

    async def _tell(self, event: Event, follower: Follower) -> None:
        if event.is_live and follower.has_caught_up and self._is_too_slow():
            self._dropped += 1
            return
        if self._dropped:
            lagged = {"type": "lagged", **self._topic, "dropped": self._dropped, "after": str(self._last)}
            await self._outgoing.put(lagged)
            self._dropped = 0
        await self._outgoing.put({"type": "event", **self._topic, "event": event.as_json()})
        self._last = event.position

    def _is_too_slow(self) -> bool:
        return not self._outgoing.is_roomy if self._dropped else self._outgoing.is_full


async def tell_overview(channel: str, overview: Overview, told: dict[str, Any], outgoing: Outgoing) -> None:
    """`told` is what the client knows, by name. A slow client gets fewer and later pictures, each of them whole."""
    while True:
        now = await overview.next()
        changed = [item for name, item in now.items() if told.get(name) != item]
        gone = [name for name in told if name not in now]
        told = now
        if changed or gone:
            await outgoing.put({"type": "event", "channel": channel, "id": None, "changed": changed, "gone": gone})
