"""Baton's own processes: web, scheduler, the sender of webhooks and workers, as command lines.

Called by `stack`.
"""

import sys
from collections.abc import Mapping

from orchestrator.local import devices
from orchestrator.local.configuration import PROJECT
from orchestrator.local.program import Program

OPEN_STREAMS_TIME = 3  # seconds; the web server waits for ever for an open event stream unless it is told not to
DRAIN_TIME = 8.0  # seconds a worker lets running tasks finish; then it gives them back
WORKER_SLOTS = "32"  # of one model it takes fewer, where more would only stand in line
EXTERNAL_SLOTS = "4"
ROOT_WARNING = "ignore:You're running the worker with superuser"  # in a container that is the ordinary case


def prepare(environment: Mapping[str, str]) -> Program:
    return Program("prepare", (sys.executable, "-m", "orchestrator.local.prepare"), environment, PROJECT)


def web(environment: Mapping[str, str], listener: int) -> Program:
    """`listener` is the file descriptor of the listening socket."""
    command = (
        *(sys.executable, "-m", "uvicorn", "orchestrator.asgi:application", "--fd", str(listener)),
        *("--no-access-log", "--lifespan", "off", "--log-level", "warning"),
        *("--timeout-graceful-shutdown", str(OPEN_STREAMS_TIME)),
        # Small messages both ways: compression would cost a quarter of a megabyte a socket.
        *("--ws-max-size", "65536", "--ws-per-message-deflate", "false"),
    )
    pooled = {"DATABASE_POOL": "true", **environment}
    return Program("web", command, pooled, PROJECT, grace=OPEN_STREAMS_TIME + 2.0, inherited=(listener,))


def scheduler(environment: Mapping[str, str]) -> Program:
    return Program("scheduler", (sys.executable, "manage.py", "run_scheduler"), environment, PROJECT)


def webhooks(environment: Mapping[str, str]) -> Program:
    return Program("webhooks", (sys.executable, "manage.py", "run_webhooks"), environment, PROJECT)


def workers(environment: Mapping[str, str], count: int) -> list[Program]:
    """They take the devices in turn."""
    visible = devices.chosen(environment)
    shared = {**environment, "ENGINE_THREADS": str(devices.threads(environment, count))}
    own = [{"CUDA_VISIBLE_DEVICES": visible[number % len(visible)]} if visible else {} for number in range(count)]
    return [_worker(shared | device, number) for number, device in enumerate(own, start=1)]


def _worker(environment: Mapping[str, str], number: int) -> Program:
    """SIGTERM drains it; its engine is its own child, and is killed with it."""
    name = f"gpu-worker-{number}"
    command = (
        *(sys.executable, "-m", "celery", "--quiet", "-A", "orchestrator", "worker", "--hostname", f"{name}@%h"),
        *("--pool", "threads", "--concurrency", environment.get("WORKER_SLOTS") or WORKER_SLOTS),
        *("--prefetch-multiplier", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    )
    drain = float(environment.get("WORKER_DRAIN_SECONDS") or DRAIN_TIME)
    own = {**environment, "WORKER_NAME": name, "WORKER_DRAIN_SECONDS": str(drain), "PYTHONWARNINGS": ROOT_WARNING}
    return Program(f"worker-{number}", command, own, PROJECT, grace=drain + 2.0)


def external_pool(environment: Mapping[str, str]) -> tuple[Program, ...]:
    """One worker for somebody else's Celery, if there is an address of it. It becomes an ordinary worker process."""
    if not environment.get("EXTERNAL_BROKER_URL"):
        return ()
    slots = environment.get("EXTERNAL_SLOTS") or EXTERNAL_SLOTS
    drain = float(environment.get("WORKER_DRAIN_SECONDS") or DRAIN_TIME)
    own = {**environment, "WORKER_DRAIN_SECONDS": str(drain), "PYTHONWARNINGS": ROOT_WARNING}
    command = (sys.executable, "manage.py", "run_external_pool", "--slots", slots)
    return (Program("external", command, own, PROJECT, grace=drain + 2.0),)
