"""A receiver of webhooks for tests: a real HTTP server that answers as it is told and remembers what it got."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes
    at: float  # of the monotonic clock

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """`answers[path]` writes the answer to a request on that path; any other is answered 204."""

    server: ThreadingHTTPServer
    answers: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/ok", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.server_port}{path}"

    def on(self, path: str) -> list[Got]:
        return [got for got in self.got if got.path == path]


@contextmanager
def receiving(address: str = "127.0.0.1") -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Got(self.path, headers, body, time.monotonic()))
            with suppress(OSError):  # the sender hung up, as it should
                receiver.answers.get(self.path, answer(204))(self)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> Any:
            receiver.connections += 1
            return super().get_request()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A sender that hangs up is what some tests are about."""

    server = Server((address, 0), Handler)
    receiver = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


def answer(status: int, **headers: str) -> Callable[[Any], None]:
    def write(handler: Any) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return write


def hang(seconds: float) -> Callable[[Any], None]:
    return lambda handler: time.sleep(seconds)


def drip_head(handler: Any) -> None:
    """A status line that comes a letter at a time, each well within any time-out of its own."""
    for letter in b"HTTP/1.1 200 OK\r\n" * 100:
        handler.wfile.write(bytes([letter]))
        time.sleep(0.05)


def drip_body(handler: Any) -> None:
    handler.send_response(500)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def flood(sent: list[int]) -> Callable[[Any], None]:
    """A gigabyte; `sent` counts the bytes that were taken."""

    def write(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**30))
        handler.end_headers()
        sent.append(0)
        for _ in range(2**14):
            handler.wfile.write(b"x" * 2**16)
            sent[-1] += 2**16

    return write
