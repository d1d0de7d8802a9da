"""The policy: a pure function from what waits and who is free to what is placed where. No I/O, no clock of its own.

`turns` says whose turn it is, `placement` what each worker would cost; here the two are weighed against each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks_app.scheduling.placement import Fleet, Offer
from tasks_app.scheduling.snapshot import Choice, ModelKey, Plan, QueueKey, Snapshot, WaitingTask, WaitReason
from tasks_app.scheduling.turns import Cursor, Turns

PATIENCE_LOADS = 4.0  # a task is passed over for at most so many times what the model swap would cost …
PATIENCE_SECONDS = 60.0  # … and never for longer than this
AVOID_SECONDS = 60.0  # so old a retried task may go back to the worker that failed it, if no other is free


def plan(snapshot: Snapshot) -> Plan:
    """Fill the free slots. Never more on a worker than it has free, nor more of anything than its limit."""
    return _Round(snapshot).run()


class _Round:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._fleet = Fleet(snapshot.workers, snapshot.queues, snapshot.times)
        self._turns = Turns(snapshot)
        self._model_room = {
            key: view.limit - view.running for key, view in (snapshot.models or {}).items() if view.limit is not None
        }
        self._choices: list[Choice] = []
        self._waits: dict[QueueKey, WaitReason] = {}
        self._collecting: list[Cursor] = []
        self._reasons: dict[ModelKey, WaitReason] = {}

    def run(self) -> Plan:
        cursors = [Cursor(queue) for queue in self._snapshot.queues]
        self._serve([cursor for cursor in cursors if not self._stands_still(cursor)], patient=True)
        self._serve(self._collecting, patient=False)  # no loaded model has work for the slots that are left
        for cursor in self._collecting:
            if not cursor.left and self._waits[cursor.key] == WaitReason.COLLECTING:
                del self._waits[cursor.key]
        for cursor in cursors:
            if cursor.left and cursor.key not in self._waits:
                self._waits[cursor.key] = self._why_nobody(cursor.head)
        return Plan(self._choices, self._waits)

    def _stands_still(self, cursor: Cursor) -> bool:
        """Paused, disabled, or something that nobody here can ever run."""
        reason = self._why_never(cursor.head)
        if reason is not None:
            self._waits[cursor.key] = reason
        return reason is not None

    def _why_never(self, task: WaitingTask) -> WaitReason | None:
        paused, models = self._snapshot.paused, self._snapshot.models
        if task.task_type in paused.task_types:
            return WaitReason.QUEUE_PAUSED
        if task.organization in paused.organizations:
            return WaitReason.ORGANIZATION_PAUSED
        if task.model in paused.models:
            return WaitReason.MODEL_PAUSED
        if models is not None and task.model_key not in models:
            return WaitReason.MODEL_DISABLED
        if not self._fleet:
            return WaitReason.NO_WORKER
        return None if self._fleet.can_ever_run(task) else WaitReason.NO_CAPABLE_WORKER

    def _serve(self, cursors: Iterable[Cursor], patient: bool) -> None:
        """One look after the other at whose turn it is, until no slot or no queue is left."""
        turns = self._turns
        turns.line_up(cursors)
        while turns and self._fleet.free_slots:
            cursor = turns.next
            if not turns.has_room:
                for blocked in turns.organization_steps_aside():
                    self._waits.setdefault(blocked.key, WaitReason.ORGANIZATION_LIMIT)
            elif self._model_room.get(cursor.head.model_key, 1) <= 0:
                self._step_aside(cursor, WaitReason.MODEL_LIMIT)
            else:
                self._look(cursor, patient)
        turns.clear()

    def _look(self, cursor: Cursor, patient: bool) -> None:
        """Place the head of a queue, let it wait for a slot that is worth waiting for, or go past it."""
        task = cursor.head
        avoid = self._avoided(task)
        offer = self._fleet.best(task, task.avoid_worker)
        if offer is None and task.avoid_worker and (offer := self._fleet.best(task)) and avoid:
            self._pass_over(cursor, WaitReason.AVOIDS_WORKER, seconds=0.0)
        elif offer is None:
            self._step_aside(cursor, self._why_nobody(task))
        elif not offer.cost or self._has_lost_patience(cursor, offer):
            self._place(cursor, offer)
        elif not self._hides_more(cursor) and (soon := self._fleet.soonest(task)) and soon[0] <= offer.cost:
            self._pass_over(cursor, WaitReason.WARM_WORKER_SOON, self._fleet.reserve(task, soon[1]))
        elif offer.loss and patient:
            self._collecting.append(cursor)
            self._step_aside(cursor, WaitReason.COLLECTING)
        else:
            self._place(cursor, offer)

    def _avoided(self, task: WaitingTask) -> bool:
        """Is it worth waiting for another worker than the one that failed it?"""
        young = self._snapshot.now - task.ready < AVOID_SECONDS
        return task.avoid_worker is not None and young and self._fleet.can_ever_run(task, but=task.avoid_worker)

    def _hides_more(self, cursor: Cursor) -> bool:
        """The last that is shown of a long queue: those before it get a slot soon, those behind need another worker."""
        return cursor.place == len(cursor.queue) - 1 and cursor.key in self._snapshot.cut

    def _has_lost_patience(self, cursor: Cursor, offer: Offer) -> bool:
        now = self._snapshot.now
        passed_over = now - self._snapshot.passed_over.get(cursor.key, now)
        return passed_over >= min(PATIENCE_LOADS * offer.cost, PATIENCE_SECONDS)

    def _place(self, cursor: Cursor, offer: Offer) -> None:
        task = cursor.head
        seconds = self._fleet.take(task, offer)
        self._choices.append(Choice(task, offer.machine.name, seconds))
        if task.model_key in self._model_room:
            self._model_room[task.model_key] -= 1
        self._turns.served(seconds, placed=True)

    def _pass_over(self, cursor: Cursor, reason: WaitReason, seconds: float) -> None:
        """This task waits, those behind it need not."""
        self._waits.setdefault(cursor.key, reason)
        self._turns.served(seconds, placed=False)

    def _step_aside(self, cursor: Cursor, reason: WaitReason) -> None:
        self._waits.setdefault(cursor.key, reason)
        self._turns.step_aside()

    def _why_nobody(self, task: WaitingTask) -> WaitReason:
        key = task.model_key
        if key not in self._reasons:
            self._reasons[key] = self._fleet.why_no_offer(task)
        return self._reasons[key]
