"""The states of a task and the only legal ways between them. Knows no database; `docs/state_machine.md` draws it.

A CHECK constraint repeats the set of states, `transitions` is the only writer, and a test walks every pair.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    PENDING = "pending"  # waits in the queue of record
    DISPATCHED = "dispatched"  # placed; a message is under way to one worker
    RUNNING = "running"  # claimed by an attempt that holds a lease
    CANCELLING = "cancelling"  # running, and asked to stop
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its start deadline passed before it started


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
ACTIVE = frozenset(Status) - FINAL
STOPPABLE = ACTIVE - {Status.CANCELLING}  # a cancel has something to do
HELD = frozenset({Status.RUNNING, Status.CANCELLING})  # an attempt holds a lease
ON_WORKER = frozenset({Status.DISPATCHED, *HELD})  # takes a slot

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.DISPATCHED, Status.CANCELLED, Status.EXPIRED}),
    Status.DISPATCHED: frozenset({Status.RUNNING, Status.PENDING, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLING, Status.PENDING}),
    Status.CANCELLING: frozenset({Status.CANCELLED, Status.COMPLETED}),
    **{final: frozenset() for final in FINAL},
}

# Filters take Celery's words too, so that a Celery user finds what they look for.
CELERY_WORDS: dict[str, frozenset[Status]] = {
    "PENDING": frozenset({Status.PENDING}),
    "RECEIVED": frozenset({Status.DISPATCHED}),
    "STARTED": frozenset({Status.RUNNING, Status.CANCELLING}),
    "SUCCESS": frozenset({Status.COMPLETED}),
    "FAILURE": frozenset({Status.FAILED, Status.EXPIRED}),
    "REVOKED": frozenset({Status.CANCELLED}),
}


class Phase(StrEnum):
    """What a running attempt is doing."""

    LOADING_MODEL = "loading_model"
    INFERENCE = "inference"
    STORING_RESULT = "storing_result"


class CancelMode(StrEnum):
    """How a cancelled task was stopped."""

    DEQUEUED = "dequeued"  # it had not started
    COOPERATIVE = "cooperative"  # the engine stopped at the next step
    KILLED = "killed"  # the engine had to be killed
    LOST = "lost"  # its worker was lost before it could tell
    ABANDONED = "abandoned"  # an external worker cannot be stopped: it computes on, and its result is thrown away


class AttemptOutcome(StrEnum):
    """How an attempt ended; None while it runs."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # its lease ran out
    RETURNED = "returned"  # given back by a worker that had to stop; does not count


def parse_status(word: str) -> frozenset[Status]:
    """The states that a filter word means; raises ValueError for a word that is neither ours nor Celery's."""
    if word in CELERY_WORDS:
        return CELERY_WORDS[word]
    return frozenset({Status(word)})
