"""The embedded Valkey (or Redis): its command line, and how to tell that it answers.

Called by `stack` and `ephemeral`. It carries Celery's messages and live hints; losing them costs seconds, no task.
"""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from orchestrator.local import binaries
from orchestrator.local.program import Program

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
VOLATILE = ("--appendonly", "no")
ANSWER_TIME = 1.0  # seconds


def socket_path(sockets: Path) -> Path:
    return sockets / "redis.sock"


def program(data_dir: Path, sockets: Path, persistence: tuple[str, ...] = DURABLE) -> Program:
    """The server with its files in a directory named after it: neither reads the files of the other."""
    server = binaries.broker()
    files = data_dir / server.name.removesuffix("-server")
    files.mkdir(mode=0o700, exist_ok=True)
    options = ("--port", "0", "--unixsocket", str(socket_path(sockets)), "--unixsocketperm", "700", "--daemonize", "no")
    limits = ("--save", "", "--maxmemory-policy", "noeviction", "--databases", "16", "--loglevel", "warning")
    return Program(
        name="redis",
        command=(str(server), *options, *persistence, *limits),
        environment=os.environ,
        directory=files,
        death_signal=signal.SIGTERM,
        umask=0o077,
    )


def is_ready(sockets: Path) -> bool:
    """Whether it answers a PING; while it still loads its files it answers -LOADING."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIME)
        try:
            connection.connect(str(socket_path(sockets)))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def addresses(sockets: Path) -> Mapping[str, str]:
    """The settings that name it; Celery and redis-py spell the same socket in two ways."""
    path = socket_path(sockets)
    return {"CELERY_BROKER_URL": f"redis+socket://{path}?virtual_host=0", "REDIS_URL": f"unix://{path}?db=1"}
