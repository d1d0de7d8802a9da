"""Baton's own processes: web, scheduler and workers, as command lines.

Called by `stack`. The same processes are named in `deploy/`; a change here is a change there.
"""

import sys
from collections.abc import Mapping

from orchestrator.local.configuration import PROJECT
from orchestrator.local.program import Program

OPEN_STREAMS_TIME = 3  # seconds; the web server waits for ever for an open event stream unless it is told not to
DRAIN_TIME = 8.0  # seconds a worker lets running tasks finish; then it gives them back
WORKER_SLOTS = "4"


def prepare(environment: Mapping[str, str]) -> Program:
    return Program("prepare", (sys.executable, "-m", "orchestrator.local.prepare"), environment, PROJECT)


def web(environment: Mapping[str, str], listener: int) -> Program:
    """`listener` is the file descriptor of the listening socket."""
    command = (
        *(sys.executable, "-m", "uvicorn", "orchestrator.asgi:application", "--fd", str(listener)),
        *("--no-access-log", "--lifespan", "off", "--log-level", "warning"),
        *("--timeout-graceful-shutdown", str(OPEN_STREAMS_TIME)),
    )
    pooled = {"DATABASE_POOL": "true", **environment}
    return Program("web", command, pooled, PROJECT, grace=OPEN_STREAMS_TIME + 2.0, inherited=(listener,))


def scheduler(environment: Mapping[str, str]) -> Program:
    return Program("scheduler", (sys.executable, "manage.py", "run_scheduler"), environment, PROJECT)


def worker(environment: Mapping[str, str], number: int) -> Program:
    """SIGTERM drains it; its engine is its own child, and is killed with it."""
    name = f"gpu-worker-{number}"
    command = (
        *(sys.executable, "-m", "celery", "--quiet", "-A", "orchestrator", "worker", "--hostname", f"{name}@%h"),
        *("--pool", "threads", "--concurrency", environment.get("WORKER_SLOTS") or WORKER_SLOTS),
        *("--prefetch-multiplier", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    )
    drain = float(environment.get("WORKER_DRAIN_SECONDS") or DRAIN_TIME)
    own = {**environment, "WORKER_NAME": name, "WORKER_DRAIN_SECONDS": str(drain)}
    return Program(f"worker-{number}", command, own, PROJECT, grace=drain + 2.0)
