"""Counts what the fault suite did: `python -m tests.faults.tally` runs it N times on a broker and prints one line.

The harness notes a line for each fault and for the tasks that the oracle saw, if BATON_TEST_TALLY names a file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TALLY = "BATON_TEST_TALLY"
SUITE = [
    "faults",
    "dispatching",
    "execution",
    "crash_points",
    "cancel_races",
    "workers",
    "webhooks",
    "external_pool",
    "abuse",
    "streams",
    "limits",
]


@dataclass(frozen=True, slots=True)
class Sum:
    faults: int
    tasks: int


def note(kind: str, text: str) -> None:
    """`fault` and what was done, or `tasks` with a database and how many the oracle has seen there."""
    path = os.environ.get(TALLY)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{kind} {text}\n")


def add_up(text: str) -> Sum:
    """The oracle looks at the same growing database after each test."""
    lines = [line.split() for line in text.splitlines()]
    seen: dict[str, int] = {}
    for _, database, number in (line for line in lines if line[0] == "tasks"):
        seen[database] = max(seen.get(database, 0), int(number))
    return Sum(sum(line[0] == "fault" for line in lines), sum(seen.values()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.tally")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="stacks at once (default 2)")
    parser.add_argument("tests", nargs="*", default=[f"tests/faults/test_{name}.py" for name in SUITE])
    chosen = parser.parse_args()
    failed = faults = tasks = 0
    for _ in range(chosen.times):
        with tempfile.TemporaryDirectory(prefix="baton-tally-") as folder:
            path = Path(folder) / "tally"
            path.touch()
            env = os.environ | {TALLY: str(path), "BATON_TEST_BROKER": chosen.broker}
            workers = ["-n", str(chosen.side_by_side), "--dist", "loadfile"]
            command = [sys.executable, "-m", "pytest", "-q", *workers, *chosen.tests]
            failed += subprocess.run(command, env=env).returncode != 0
            run = add_up(path.read_text(encoding="utf-8"))
            faults, tasks = faults + run.faults, tasks + run.tasks
    lost = "0" if not failed else "unknown, since a run failed"
    print(f"{chosen.broker}: {chosen.times} runs, {failed} failed, {faults} faults injected, ", end="")
    print(f"{tasks} tasks accepted, {lost} lost")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
