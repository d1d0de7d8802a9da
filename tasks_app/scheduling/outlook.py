"""What the scheduler would say of a waiting task now: reads what a round reads, asks the policy, decides nothing.

The picture that everybody asks about is read at most once a second per process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from tasks_app.models import Task
from tasks_app.scheduling import books, reading, rounds
from tasks_app.scheduling.forecast import Forecast, forecast
from tasks_app.scheduling.policy import plan
from tasks_app.scheduling.snapshot import STANDING_STILL, Plan, QueueKey, Snapshot, WaitingTask, WaitReason
from workers_app.models import Worker

LOOKED_AT = 5_000  # waiting tasks, shared by all queues; who stands behind them is counted only
COUNTED = 10_000  # tasks before one of the same queue; beyond that the number says nothing more
KEPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """`reason` None: it is placed at the next look. `ahead`: at least so many of its own queue stand before it, known
    where the line as a whole is too long for a forecast.
    """

    reason: WaitReason | None
    forecast: Forecast | None = None
    ahead: int = 0
    learnt: bool = False  # has this model ever run here, so that the times are more than a guess?

    @property
    def is_gone(self) -> bool:
        """Nobody sees it in the line: it has left, or was just put back."""
        return self.forecast is None and not self.ahead


@dataclass(frozen=True, slots=True)
class _Picture:
    at: float  # monotonic
    snapshot: Snapshot
    plan: Plan

    def find(self, key: QueueKey, task_id: UUID) -> WaitingTask | None:
        queue = next((queue for queue in self.snapshot.queues if queue[0].queue_key == key), ())
        return next((task for task in queue if task.task_id == task_id), None)


_lock = threading.Lock()  # one thread looks, the others wait for what it sees
_last: _Picture | None = None


def of(task: Task) -> Outlook:
    """Of a task that is pending and may run now."""
    key = QueueKey(task.organization_id, task.user_id or 0, task.task_type, task.model, task.priority)
    picture = _picture(max_age=KEPT_SECONDS)
    waiting = picture.find(key, task.pk)
    if waiting is None and task.created_at.timestamp() > picture.snapshot.now:  # it came after the last look
        picture = _picture(max_age=0.0)
        waiting = picture.find(key, task.pk)
    reason = _reason(picture.plan, key, task.pk)
    if waiting is None:
        return Outlook(reason, ahead=_ahead(task))
    still = frozenset(
        queue[0].task_id
        for queue in picture.snapshot.queues
        if picture.plan.waits.get(queue[0].queue_key) in STANDING_STILL
    )
    learnt = picture.snapshot.times.anywhere(task.task_type, task.model).runs > 0
    return Outlook(reason, forecast(picture.snapshot, waiting, still), learnt=learnt)


def forget() -> None:
    global _last
    with _lock:
        _last = None


def _reason(made: Plan, key: QueueKey, task_id: UUID) -> WaitReason | None:
    if any(choice.task.task_id == task_id for choice in made.choices):
        return None
    return made.waits.get(key)


def _picture(max_age: float) -> _Picture:
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last.at > max_age:
            _last = _look()
        return _last


def _look() -> _Picture:
    memory = books.load()
    on_workers, weights = reading.read_on_workers()
    memory.see(on_workers, weights)
    views = rounds.ready(Worker.objects.filter(stopped_at=None, stopping=False), Counter(w.worker for w in on_workers))
    waiting = reading.read_waiting(LOOKED_AT // 2)
    snapshot = memory.snapshot(time.time(), waiting.queues, views, waiting.rules, waiting.cut)
    return _Picture(time.monotonic(), snapshot, plan(snapshot))


def _ahead(task: Task) -> int:
    """Older ones of the same queue: one probe of its index, and no further than anybody wants to know."""
    same = Task.objects.waiting().filter(
        organization=task.organization_id, task_type=task.task_type, model=task.model, priority=task.priority
    )
    return same.filter(user=task.user_id, pk__lt=task.pk).order_by().values("pk")[:COUNTED].count()
