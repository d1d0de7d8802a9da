"""A real HTTP server on a thread that answers from a script: for what a Baton would rarely do."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TASK = {
    "task_id": "0199f3c2-7b1e-7c55-9a0e-3f6f0c1d2e3f", "task_type": "llm", "model": "m", "status": "completed",
    "priority": 5, "input": {"prompt": "x"}, "parameters": {}, "attempt": 1, "max_attempts": 3,
    "created_at": "2030-01-31T12:00:00.5Z", "result": {"text": "Hi."}, "a_field_of_tomorrow": [1],
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """`cut`: the connection ends after the body, however long it should have been, and `late` seconds after it."""

    status: int = 200
    body: Any = field(default_factory=lambda: dict(TASK))
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    late: float = 0.0


CUT = Answer(status=0)  # the connection ends without an answer


def refusal(status: int, code: str, **headers: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": f"It is {code}."}}, headers)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Scripted:
    """The answers in their order; the last one for good. `asked` has the requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.asked.append(Asked(self.command, self.path, dict(self.headers.items()), content))
                script.play(self)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def play(self, handler: BaseHTTPRequestHandler) -> None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer.status:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            handler.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(body))} | answer.headers).items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)
            handler.wfile.flush()
        time.sleep(answer.late)
        if answer.cut or not answer.status:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
