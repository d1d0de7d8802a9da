"""The web server's socket, bound here so that it stays open while the web process is started again.

Called by `stack`, before anything is started: a port that is taken is told at once.
"""

import errno
import socket

from orchestrator.local.errors import StartError

WAITING_CONNECTIONS = 512
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose.

    Raises:
        StartError: the port is taken, or the host is none of ours.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Uvicorn takes an inherited socket for a Unix one and leaves Nagle's algorithm on: 40 ms more for every answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen(WAITING_CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} is taken by another program; choose one with PORT={port + 1}") from error
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


def address(listener: socket.socket) -> tuple[str, int]:
    """Where a client on this machine connects to."""
    host, port = listener.getsockname()[:2]
    return EVERY_ADDRESS.get(host, host), port


def url(listener: socket.socket) -> str:
    host, port = address(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
