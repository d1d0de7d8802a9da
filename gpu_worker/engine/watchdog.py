"""Tells when an engine stands still. Fed and asked by the worker; a pure class that reads no clock and kills nobody."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_worker.engine.protocol import LanePulse, Pulse


@dataclass(slots=True)
class _Standing:
    steps: int
    since: float


class Watchdog:
    """All times are seconds of one monotonic clock, handed in by the caller.

    `stall_timeout`: a lane with active requests may stand still that long, unless it is exempt.
    `silence_timeout`: so long may an engine say nothing at all, counted from its start.
    """

    def __init__(self, stall_timeout: float, silence_timeout: float, now: float) -> None:
        self._stall_timeout = stall_timeout
        self._silence_timeout = silence_timeout
        self._last_pulse = now
        self._last_check = now
        self._standing: dict[str, _Standing] = {}

    def pulse(self, pulse: Pulse, now: float) -> None:
        self._last_pulse = now
        before, self._standing = self._standing, {}
        for lane in pulse.lanes:
            if lane.active and not lane.exempt:
                self._standing[lane.model] = self._stand(before.get(lane.model), lane, now)

    def verdict(self, now: float) -> str | None:
        """Why the engine must be killed, or None. Ask at least a few times per timeout."""
        if now - self._last_check > min(self._stall_timeout, self._silence_timeout) / 2:
            self._start_over(now)  # the one who asks was frozen too: what the engine did meanwhile is not known yet
        self._last_check = now
        if now - self._last_pulse > self._silence_timeout:
            return f"no sign of life for {now - self._last_pulse:.1f} s"
        for model in self.stalled(now):
            return f"model {model} has stood still for {now - self._standing[model].since:.1f} s"
        return None

    def stalled(self, now: float) -> list[str]:
        """Labels of the lanes that stand still for too long."""
        return [model for model, lane in self._standing.items() if now - lane.since > self._stall_timeout]

    @staticmethod
    def _stand(before: _Standing | None, lane: LanePulse, now: float) -> _Standing:
        return before if before is not None and before.steps == lane.steps else _Standing(lane.steps, now)

    def _start_over(self, now: float) -> None:
        self._last_pulse = now
        for lane in self._standing.values():
            lane.since = now
