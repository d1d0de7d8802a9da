"""Checks that submit nothing: does the server answer, has it what it needs, does it know the key, who can work?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orchestrator.check import advice
from orchestrator.check.api import Api
from orchestrator.check.report import Result, failed, passed
from orchestrator.check.trouble import Unreachable

Json = dict[str, Any]
ENGINE_WITHIN = 10.0  # seconds; a new engine says that it is ready long before torch is there
LISTED = 4  # workers that are described by name


def web(api: Api) -> Result:
    started = time.monotonic()
    if api.probe("/healthz").get("status") != "ok":
        raise Unreachable(f"{api.url} answers, but not as Baton does", advice.NOT_BATON)
    return passed("web", f"{api.url} answers in {(time.monotonic() - started) * 1000:.0f} ms")


def readiness(api: Api) -> Iterator[Result]:
    """One result per dependency, named as /readyz names them."""
    for name, verdict in api.probe("/readyz").items():
        if verdict["ok"]:
            yield passed(name, verdict["detail"])
        else:
            yield failed(name, verdict["detail"], advice.READINESS.get(name, ""))


def key(api: Api) -> Result:
    models = api.get("/models/")["results"]
    return passed("key", f"accepted; {len(models)} models can be asked for")


def workers(api: Api) -> Result:
    """Somebody must be online, and its engine must be ready; one that was just started gets a moment."""
    deadline = time.monotonic() + ENGINE_WITHIN
    health, known = _workers(api)
    while health["online_workers"] and not _ready(known) and time.monotonic() < deadline:
        time.sleep(0.2)
        health, known = _workers(api)
    described = "; ".join(_describe(worker) for worker in known[:LISTED])
    if len(known) > LISTED:
        described += f"; and {len(known) - LISTED} more"
    counts = {"total": health["total_workers"], "online": health["online_workers"], "status": health["status"]}
    if not counts["online"]:
        return failed("workers", f"none is online. {described}".rstrip(". "), advice.START_WORKER, **counts)
    if not _ready(known):
        return failed("workers", f"no engine is ready: {described}", advice.FAILURES["engine_crashed"], **counts)
    return passed("workers", f"{counts['online']} of {counts['total']} online: {described}", **counts)


def _workers(api: Api) -> tuple[Json, list[Json]]:
    return api.get("/tasks/workers/health"), list(api.get("/tasks/workers/stats")["workers"].values())


def _ready(known: list[Json]) -> bool:
    return any(worker["status"] == "online" and worker["engine_state"] == "ready" for worker in known)


def _describe(worker: Json) -> str:
    if worker["status"] != "online":
        return f"{worker['name']} is {worker['status']}, last heartbeat {worker['last_heartbeat']}"
    words = [f"{worker['name']} on {_devices(worker)}", f"{worker['slots']} slots"]
    if worker["state"] != "active":
        words.append(worker["state"])
    if worker["engine_state"] != "ready":
        words.append(f"engine {worker['engine_state']}")
    loaded = [model["name"] for gpu in worker["gpus"] for model in gpu["loaded_models"]]
    return ", ".join(words) + f", loaded: {', '.join(loaded) or 'nothing'}"


def _devices(worker: Json) -> str:
    return " and ".join(gpu["name"] or gpu["type"] or "no device yet" for gpu in worker["gpus"]) or "no device yet"
