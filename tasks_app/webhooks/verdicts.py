"""What a try of a delivery came to, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tasks_app.models import DeliveryState

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 21_600.0, 43_200.0)  # seconds before the second try, the third, …
LONGEST_DELAY = 43_200.0  # seconds; a receiver may not ask for more
TOO_MANY, UNAVAILABLE, GONE = 429, 503, 410
WORTH_ANOTHER = frozenset({408, TOO_MANY})  # and every 5xx


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is None if there was none; then `problem` says why. `refused`: nothing may be sent to this address."""

    status: int | None = None
    problem: str = ""
    retry_after: float | None = None  # seconds, as the receiver asked
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    state: DeliveryState
    error: str = ""
    delay: float = 0.0  # seconds until the next try
    gone: bool = False  # the receiver wants nothing there any more


def verdict_on(answer: Answer, tries: int, factor: float = 1.0) -> Verdict:
    """`tries`: how many there were, this one included. `factor` stretches the delays, not what a receiver asks for."""
    status = answer.status
    if status is not None and 200 <= status < 300:
        return Verdict(DeliveryState.DELIVERED)
    error = answer.problem or f"The receiver answered {status}."
    if status == GONE:
        return Verdict(DeliveryState.FAILED, f"{error} Nothing more is sent there.", gone=True)
    if answer.refused or not _is_worth_another(status) or tries > len(DELAYS):
        return Verdict(DeliveryState.FAILED, error)
    asked = answer.retry_after if status in (TOO_MANY, UNAVAILABLE) else None
    return Verdict(DeliveryState.PENDING, error, max(DELAYS[tries - 1] * factor, min(asked or 0.0, LONGEST_DELAY)))


def _is_worth_another(status: int | None) -> bool:
    return status is None or status in WORTH_ANOTHER or 500 <= status < 600
