"""A proxy before a server's socket that can hold back, lose, cut, or swallow one answer. Runs in the test's threads."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.faults import tally

Address = str | tuple[str, int]  # the path of a Unix socket, or host and port
CHUNK = 65536


class Proxy:
    """Clients connect to `listen` (port 0: any; then read `address`), the server is at `target`."""

    def __init__(self, listen: Address, target: Address) -> None:
        self._target = target
        self._lines: set[_Line] = set()
        self.flows = threading.Event()
        self.flows.set()
        self.swallow: bytes | None = None
        self.swallowed = threading.Event()
        self._server = _socket(listen)
        self._server.bind(listen)
        if isinstance(listen, str):
            Path(listen).chmod(0o777)
        self._server.listen(64)
        self.address: Address = self._server.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.thaw()
        self._close_all()

    # ------------------------------------------------------------ faults

    def freeze(self) -> None:
        """Nothing passes; what is sent meanwhile arrives after `thaw`."""
        tally.note("fault", "proxy freeze")
        self.flows.clear()

    def thaw(self) -> None:
        self.flows.set()

    def vanish(self) -> None:
        """Whoever is connected now is half-open from now on: what is sent is lost, and nobody is told."""
        tally.note("fault", "proxy vanish")
        for line in set(self._lines):
            line.is_lost = True

    def cut(self) -> None:
        """Every open connection ends; new ones are taken."""
        tally.note("fault", "proxy cut")
        self._close_all()

    def swallow_reply_to(self, words: bytes) -> None:
        """The next request with these words reaches the server, its answer does not come back, and the line is cut."""
        tally.note("fault", "proxy swallow_reply_to")
        self.swallowed.clear()
        self.swallow = words

    def _close_all(self) -> None:
        for line in set(self._lines):
            line.close()

    # ------------------------------------------------------------ threads

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        server = _socket(self._target)
        try:
            server.connect(self._target)
        except OSError:
            client.close()
            return
        line = _Line(self, client, server)
        self._lines.add(line)
        for pump in (line.forward_requests, line.forward_answers):
            threading.Thread(target=pump, daemon=True).start()

    def forget(self, line: _Line) -> None:
        self._lines.discard(line)


class _Line:
    """One client's connection, and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._swallows = False
        self.is_lost = False

    def forward_requests(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(CHUNK):
                self._proxy.flows.wait()
                if self._proxy.swallow is not None and self._proxy.swallow in data:
                    self._proxy.swallow, self._swallows = None, True
                if not self.is_lost:
                    self._server.sendall(data)
        self.close()

    def forward_answers(self) -> None:
        with suppress(OSError):
            while (data := self._server.recv(CHUNK)) and not self._swallows:
                self._proxy.flows.wait()
                if not self.is_lost:
                    self._client.sendall(data)
            if self._swallows:
                self._proxy.swallowed.set()
        self.close()

    def close(self) -> None:
        self._proxy.forget(self)
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _socket(address: Address) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
