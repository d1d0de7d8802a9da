"""Submitting tasks for the checks and following them to their end. Remembers them, so that they can be deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orchestrator.check import advice, diagnosis
from orchestrator.check.api import Api
from orchestrator.check.samples import Sample
from orchestrator.check.trouble import Refused, Trouble
from tasks_app.states import ACTIVE, Status

Json = dict[str, Any]
HOLD = 10  # seconds that one question may be held; the server allows 30


class Tasks:
    """Safe to use from several threads. `timeout`: seconds that one task may take from its submit."""

    def __init__(self, api: Api, timeout: float) -> None:
        self._api = api
        self._timeout = timeout
        self._made: list[str] = []
        self._completed: list[str] = []

    @property
    def completed(self) -> int:
        """How many were seen to complete."""
        return len(self._completed)

    def run(self, sample: Sample, model: str | None = None) -> Json:
        """The task, completed. Raises Trouble that says why it is not."""
        return self.follow_to_end(self.submit(sample, model))

    def submit(self, sample: Sample, model: str | None = None) -> Json:
        body: Json = {"task_type": sample.task_type, "input": sample.input, "parameters": sample.parameters}
        if model is not None:
            body["model"] = model
        task = self._api.post("/tasks/", body)
        self._made.append(task["task_id"])
        return task

    def follow(self, task: Json, hold: int = HOLD) -> Iterator[Json]:
        """Every answer until the task has ended; each is held for up to `hold` seconds. Raises Trouble if it stays."""
        started = time.monotonic()
        while True:
            yield task
            left = self._timeout - (time.monotonic() - started)
            if task["status"] not in ACTIVE:
                self._completed += [task["task_id"]] if task["status"] == Status.COMPLETED else []
                return
            if left <= 0:
                raise self._why_not_ended(task)
            task = self._api.get(f"/tasks/{task['task_id']}", wait=max(1, min(hold, int(left))))

    def follow_to_end(self, task: Json) -> Json:
        *_, ended = self.follow(task)
        return _completed(ended)

    def cancel(self, task: Json) -> Json:
        return self._api.patch(f"/tasks/{task['task_id']}/cancel", wait=HOLD)

    def delete_all(self) -> int:
        """How many are gone; one that still runs is cancelled by it."""
        gone = 0
        while self._made:
            gone += self._delete(self._made.pop())
        return gone

    def _delete(self, task_id: str) -> bool:
        try:
            self._api.delete(f"/tasks/{task_id}?force=true")
        except Refused as error:
            if error.status != 404:  # somebody else deleted it
                raise
            return False
        return True

    def _why_not_ended(self, task: Json) -> Trouble:
        leader = bool(self._api.get("/tasks/workers/health")["scheduler"]["leader"])
        workers = list(self._api.get("/tasks/workers/stats")["workers"].values())
        told = self._api.get(f"/tasks/{task['task_id']}/explain")["message"]
        return diagnosis.why_not_ended(task, leader, workers, self._timeout, told)


def _completed(task: Json) -> Json:
    """The task itself; Trouble if it ended in any other way."""
    if task["status"] == Status.COMPLETED:
        return task
    error = task["error"]
    if error is None:
        raise Trouble(f"the task ended {task['status']}", "Somebody cancelled it, or its deadline passed: try again.")
    reason = f"{error['code']}: {error['message']} (attempt {error['attempt']} on {error['worker_id']})"
    raise Trouble(reason, advice.of_failure(error["code"]))
