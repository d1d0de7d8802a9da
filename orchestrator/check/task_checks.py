"""Checks that run tasks: each type and its result, the same seed twice, live tracking, cancel, the numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.check import advice
from orchestrator.check.api import Api
from orchestrator.check.report import Result, failed, passed
from orchestrator.check.results import verify
from orchestrator.check.samples import SIMULATED, Sample, simulated
from orchestrator.check.tasks import Tasks
from orchestrator.check.trouble import Trouble

Json = dict[str, Any]
TRACKED_SECONDS, TRACKED_STEPS = 2.5, 25  # a question each second sees it run twice
SLOW_SECONDS = 600.0  # a task that only a cancel ends in time
WORTH_TELLING = 0.1  # seconds of loading; a warm model takes none
COUNTED_WITHIN = 5.0  # seconds until numbers must show what has ended; the server caches them for one


def one_type(api: Api, tasks: Tasks, sample: Sample, model: str | None) -> Result:
    """Submit, dispatch, run, read the result."""
    task = tasks.run(sample, model)
    evidence = verify(api, task)
    timings = task["timings"]
    spent = f"waited {timings['queue_seconds']:.2f} s, ran {timings['inference_seconds']:.2f} s"
    if (loading := timings["model_load_seconds"] or 0.0) >= WORTH_TELLING:
        spent += f" after loading for {loading:.1f} s"
    facts = {**timings, "model": task["model"], "worker": task["worker_id"], "fingerprint": evidence.fingerprint}
    return passed(sample.task_type, f"{task['model']}: {evidence.shown}; {spent}", **facts)


def same_seed(
    api: Api, tasks: Tasks, again: Sequence[Sample], model: str | None, fingerprints: Mapping[str, str]
) -> Result:
    """One by one: images of a batch may differ by a grey level, and these are compared to the byte."""
    different = [
        sample.task_type
        for sample in again
        if verify(api, tasks.run(sample, model)).fingerprint != fingerprints[sample.task_type]
    ]
    if different:
        reason = f"another result with the same seed: {', '.join(different)}"
        return failed("same seed", reason, "Do the workers differ in device, libraries or the model's revision?")
    return passed("same seed", f"the same result twice: {', '.join(fingerprints)}")


def live(api: Api, tasks: Tasks) -> Result:
    """Is a running task seen to run, with its progress, and does its worker count it?"""
    seen: list[str] = []
    steps: set[int] = set()
    counted = 0
    for task in tasks.follow(tasks.submit(simulated(TRACKED_SECONDS, TRACKED_STEPS), SIMULATED), hold=1):
        if task["status"] not in seen:
            seen.append(task["status"])
        if task["status"] == "running":
            counted = max(counted, _active_on(api, task["worker_id"]))
            if task["progress"]:
                steps.add(task["progress"]["step"])
    path = " → ".join(seen)
    if seen[-1] != "completed" or "running" not in seen:
        raise Trouble(f"the task went {path}", "It must be seen running: GET /tasks/{id}?wait=1 shows what happens.")
    if len(steps) < 2 or not counted:
        reason = f"{len(steps)} steps of progress and {counted} active tasks were seen while it ran"
        raise Trouble(reason, "The worker reports both with its heartbeat: its log says why not.")
    return passed("live", f"{path}; seen at steps {', '.join(map(str, sorted(steps)))} of {TRACKED_STEPS}")


def _active_on(api: Api, worker: str) -> int:
    known = api.get("/tasks/workers/stats")["workers"]
    return int(known[worker]["active_tasks"]) if worker in known else 0


def cancel(tasks: Tasks) -> Result:
    """How long it takes to stop a running task."""
    following = tasks.follow(tasks.submit(simulated(SLOW_SECONDS, int(SLOW_SECONDS * 10)), SIMULATED))
    task = next(task for task in following if task["status"] not in ("pending", "dispatched"))
    asked = time.monotonic()
    *_, ended = tasks.follow(tasks.cancel(task))
    seconds = time.monotonic() - asked
    if ended["status"] != "cancelled":
        raise Trouble(f"the task ended {ended['status']} instead", "It ended before the cancel came: try again.")
    mode = ended["cancellation"]["mode"]
    return passed("cancel", f"stopped {seconds:.2f} s after it was asked for ({mode})", seconds=seconds, mode=mode)


def statistics(api: Api, tasks: Tasks) -> Result:
    """Do the numbers count what was just done, and do the two pages about workers agree?"""
    deadline = time.monotonic() + COUNTED_WITHIN
    while (metrics := api.get("/tasks/stats/metrics?window=1h"))["completed_tasks"] < tasks.completed:
        if time.monotonic() > deadline:
            reason = f"{metrics['completed_tasks']} completed tasks are counted, {tasks.completed} were just seen"
            return failed("statistics", reason, "Do all web processes and workers use one database?")
        time.sleep(0.2)
    stats, health = api.get("/tasks/workers/stats"), api.get("/tasks/workers/health")
    online = {name for name, worker in stats["workers"].items() if worker["status"] == "online"}
    if len(online) != health["online_workers"]:
        reason = f"/tasks/workers/stats lists {len(online)} online, /tasks/workers/health {health['online_workers']}"
        return failed("statistics", reason, advice.START_WORKER)
    done = f"{metrics['completed_tasks']} completed, success rate {metrics['success_rate']:g} %"
    load = sum(worker["total_load"] for worker in stats["workers"].values())
    return passed("statistics", f"last hour: {done}; {load} tasks on workers now", **metrics)
