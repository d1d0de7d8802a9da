"""What a worker asks of its engine: `EngineKeeper` (a process of ours) or `ExternalPool` (somebody else's Celery).

`Worker` and `Attempt` know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gpu_worker.engine.protocol import Report, Submit
from tasks_app.states import CancelMode


@dataclass(frozen=True, slots=True)
class EngineDied:
    """`blamed`: the requests that made somebody kill it; None if it died by itself, so anyone may be guilty.

    `alone`: only one request was there to be blamed.
    """

    reason: str
    blamed: frozenset[str] | None = None
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing more will be told of a request, though it has not ended by itself; `mode` is what became of it."""

    mode: CancelMode
    reason: str


Listener = Callable[[Report | EngineDied | Released], None]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a heartbeat tells of an engine. `abandoned`: executions that nobody waits for and nobody could stop."""

    device: dict[str, Any]
    warm_models: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    abandoned: int = 0


class Engine(Protocol):
    restarts: int

    def start(self, on_quarantine: Callable[[], None]) -> None:
        """`on_quarantine` is called when the device has proved unsound, before anybody can hand it more work."""

    def stop(self) -> None: ...

    def submit(
        self, request: Submit, listener: Listener, timeout: float, wanted: Callable[[], bool], alone: bool = False
    ) -> None:
        """Take a request, waiting until that is possible as long as it is `wanted`; `listener` hears how it goes.

        `alone`: with no other request in the same process. Raises EngineGone after `timeout` seconds, or when it is no
        longer wanted; nothing was submitted then.
        """

    def cancel(self, request_id: str) -> None:
        """Ask for a stop; what came of it is told to the listener."""

    def kill(self, reason: str, blamed: frozenset[str]) -> None:
        """These did not stop in time. Called again and again until their listeners have heard of an end."""

    def forget(self, request_id: str) -> None:
        """Its listener is gone."""

    def state(self) -> str:
        """off, starting, ready, restarting or absent."""

    @property
    def quarantine(self) -> str:
        """Why its device gets no work; empty if it may."""

    def distrust(self, reason: str) -> None:
        """An earlier process was quarantined, and nobody has lifted it."""

    def trust(self) -> None:
        """An operator says that it may work again."""

    def facts(self) -> Facts: ...
