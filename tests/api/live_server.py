"""The web application behind a real uvicorn on a real port, in a thread of the test: it sees the test's rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.db import connection

from orchestrator.handler import ThreadedHandler
from orchestrator.local import listener


class Web:
    def __init__(self) -> None:
        self.socket = listener.listen("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.handler: ThreadedHandler
        self._server: uvicorn.Server
        self._ready = threading.Event()

    def serve(self) -> None:
        async def run() -> None:
            self.handler = ThreadedHandler()
            config = uvicorn.Config(
                self.handler, lifespan="off", log_level="error", timeout_graceful_shutdown=1, ws_ping_interval=None
            )
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve([self.socket]))
            while not self._server.started:
                await asyncio.sleep(0.01)
            self._ready.set()
            await serving
            await self.handler.close()

        asyncio.run(run())

    def wait(self) -> None:
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._server.should_exit = True


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    thread = threading.Thread(target=web.serve)
    thread.start()
    web.wait()
    try:
        yield web
    finally:
        web.stop()
        thread.join(20)
        web.socket.close()


def elsewhere(act: Callable[[], Any]) -> Any:
    """In a thread with a connection of its own, as another process would."""

    def run() -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()
