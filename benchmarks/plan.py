"""How the policy grows with what waits and who is there: one round, all slots free, nobody warm at first.

    python -m benchmarks.plan [--repeat 3]

Pure Python on one core, no database. Prints a table, then one line of JSON: milliseconds by "tasks x workers".
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import time
from uuid import UUID

from tasks_app.scheduling.learning import Learnt, Times
from tasks_app.scheduling.policy import plan
from tasks_app.scheduling.snapshot import Loaded, OrganizationView, Queue, Snapshot, WaitingTask, WorkerView

ORGANIZATIONS, USERS, MODELS = 100, 2, 6
SLOTS, HELD = 4, 3  # of one worker; models loaded on it
TASKS, WORKERS = (1_000, 10_000, 100_000), (10, 100, 1_000)


def queues(tasks: int) -> list[Queue]:
    """Grouped as `rounds` hands them in: one queue per organization, user, model and priority."""
    names = itertools.product(range(ORGANIZATIONS), range(USERS), range(MODELS))
    places = [(UUID(int=org + 1), user + 1, f"model-{model}", 1 + (org + model) % 10) for org, user, model in names]
    grouped: dict[int, list[WaitingTask]] = {}
    for number in range(tasks):
        organization, user, model, priority = places[number % len(places)]
        grouped.setdefault(number % len(places), []).append(
            WaitingTask(UUID(int=number + 1), "llm", model, priority, 10, None, organization, user, float(number))
        )
    return list(grouped.values())


def workers(count: int) -> list[WorkerView]:
    held = [tuple(Loaded(f"model-{(number + held) % MODELS}", 10) for held in range(HELD)) for number in range(MODELS)]
    return [
        WorkerView(f"worker-{n}", frozenset({"llm"}), SLOTS, SLOTS, frozenset(), held[n % MODELS], 10 * HELD)
        for n in range(count)
    ]


def measure(tasks: int, machines: int, repeat: int) -> tuple[float, int]:
    """(milliseconds of the fastest round, tasks placed)."""
    learnt = Times({("llm", f"model-{n}", ""): Learnt(9, 2.0 + n, 1.0, 9, 20.0) for n in range(MODELS)}.items())
    organizations = {UUID(int=n + 1): OrganizationView(weight=1.0 + n % 3) for n in range(ORGANIZATIONS)}
    snapshot = Snapshot(float(tasks), queues(tasks), workers(machines), organizations, times=learnt)
    gc.collect()
    fastest = float("inf")
    for _ in range(repeat):
        begin = time.perf_counter()
        made = plan(snapshot)
        fastest = min(fastest, time.perf_counter() - begin)
    return fastest * 1000, len(made.choices)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    results = {}
    for tasks, machines in itertools.product(TASKS, WORKERS):
        milliseconds, placed = measure(tasks, machines, repeat)
        print(f"{tasks:>7} tasks  {machines:>5} workers  {placed:>5} placed  {milliseconds:8.1f} ms")
        results[f"{tasks}x{machines}"] = round(milliseconds, 1)
    print(json.dumps({"benchmark": "plan", "organizations": ORGANIZATIONS, "models": MODELS, "milliseconds": results}))


if __name__ == "__main__":
    main()
