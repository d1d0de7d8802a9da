"""The order of a start and of a stop: lock, socket, servers, database, Baton's processes, and all of it backwards.

Called by `__main__`. How each step is done is in a module of its own.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

from orchestrator.local import accounts, listener, places, postgres, processes, ready, valkey
from orchestrator.local.accounts import Account
from orchestrator.local.configuration import Configuration
from orchestrator.local.console import Console
from orchestrator.local.errors import StartError
from orchestrator.local.parent import Parent
from orchestrator.local.places import Places
from orchestrator.local.program import Program
from orchestrator.local.signals import Signals
from orchestrator.local.supervisor import Supervisor

READY_INTERVAL = 0.02  # seconds between two looks at a server that starts
# After everything was killed at once PostgreSQL refuses to start until the last of its old processes has seen that its
# master is gone; five tries give them four seconds.
START_TRIES = 5
SERVER_GRACE = 4.0  # seconds; with the drain of a worker a stop stays below 15 s


def run(configuration: Configuration, parent: Parent | None = None) -> None:
    """Run until somebody asks to stop, or the parent (if one is given) is gone; nothing is left running then.

    Raises:
        StartError: something is in the way of the start.
    """
    account = Account(os.getuid(), os.getgid()) if configuration.database_is_external else accounts.for_postgres()
    here = places.prepare(configuration.data_dir, account)
    with (
        places.lock(here) as lock,
        listener.listen(configuration.host, configuration.port) as web_socket,
        Signals() as signals,
    ):
        places.sign(lock, listener.url(web_socket))
        console = Console(sys.stdout, here.logs)
        console.say(f"starting on {listener.url(web_socket)}, data in {here.data_dir}")
        supervisor = Supervisor(console, signals, here.run / "children.json")
        try:
            _start(configuration, here, account, supervisor, console, web_socket)
            supervisor.run(until=parent.is_gone if parent else lambda: False)
        finally:
            console.say("stopping; once more to stop at once")
            supervisor.stop()
            places.remove_sockets(here)
            console.say("stopped")
            console.close()


def _start(
    configuration: Configuration,
    here: Places,
    account: Account,
    supervisor: Supervisor,
    console: Console,
    web_socket: socket.socket,
) -> None:
    servers = _start_servers(configuration, here, account, supervisor)
    environment = _environment(configuration, here, web_socket) | servers
    status = supervisor.complete(processes.prepare(environment))
    if status is None:
        return
    if status != 0:
        raise StartError(f"the database could not be prepared (exit status {status}); the reason is above")
    supervisor.start(
        processes.web(environment, web_socket.fileno()),
        processes.scheduler(environment),
        processes.webhooks(environment),
        *processes.workers(environment, configuration.workers),
        *processes.external_pool(environment),
    )
    told = (listener.address(web_socket), environment["BASE_URL"], here.data_dir, console)
    threading.Thread(target=ready.announce, args=told, name="ready", daemon=True).start()


def _start_servers(
    configuration: Configuration, here: Places, account: Account, supervisor: Supervisor
) -> dict[str, str]:
    """Start what no address was given for; returns the settings that name it."""
    programs: list[Program] = []
    probes: list[Callable[[int], bool]] = []
    addresses: dict[str, str] = {}
    if not configuration.database_is_external:
        cluster = postgres.locate(here.data_dir, here.postgres_sockets, account)
        postgres.create(cluster)
        programs.append(postgres.program(cluster, postgres.DURABLE))
        probes.append(lambda pid: postgres.is_ready(cluster, pid))
        addresses |= postgres.address(here.postgres_sockets)
    if not configuration.broker_is_external:
        programs.append(valkey.program(here.data_dir, here.broker_sockets))
        probes.append(lambda _pid: valkey.is_ready(here.broker_sockets))
        addresses |= valkey.addresses(here.broker_sockets)
    children = supervisor.start(*(replace(program, grace=SERVER_GRACE) for program in programs))

    def all_ready() -> bool:
        for child in children:
            if child.ends >= START_TRIES:
                raise StartError(f"{child.program.name} does not start; the reason is above")
        pids = [child.pid for child in children]
        return all(pid is not None and is_ready(pid) for pid, is_ready in zip(pids, probes, strict=True))

    supervisor.run(until=all_ready, interval=READY_INTERVAL)
    return addresses


def _environment(configuration: Configuration, here: Places, web_socket: socket.socket) -> dict[str, str]:
    """What Baton's processes get to see, but for the servers' addresses."""
    given = dict(configuration.environment)
    if not configuration.database_is_external:
        # PGPORT and its like would lead libpq away from our socket.
        given = {name: value for name, value in given.items() if not name.startswith("PG")}
    return given | {
        "DATA_DIR": str(here.data_dir),
        "HOST": configuration.host,
        "PORT": str(listener.address(web_socket)[1]),
        "BASE_URL": given.get("BASE_URL") or listener.url(web_socket),
        "SECRET_KEY": given.get("SECRET_KEY") or places.secret_key(here),
        "PYTHONUNBUFFERED": "1",
    }
