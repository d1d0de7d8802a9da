"""Django under ASGI, arranged for short calls: middleware and view run as one piece on a thread of a shared pool.

Django's own handler makes a thread per request and hops to it for every middleware, which costs half the throughput.
Answers that are held wait on the event loop, between two such pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponseBase

from tasks_app.realtime import holding, live
from tasks_app.realtime.doorman import Guest
from tasks_app.realtime.live import Live
from tasks_app.realtime.overviews import Overviews
from tasks_app.realtime.socket import Socket

SOCKET_PATH = "/ws"


class ThreadedHandler(ASGIHandler):
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="web")
        self.live = Live(self._threads)
        self.overviews = Overviews(self.live)
        self.changes = self.live.changes
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        chain: Callable[[HttpRequest], HttpResponseBase] = self._middleware_chain  # type: ignore[has-type]

        def look(request: HttpRequest) -> HttpResponseBase:
            try:
                return chain(request)
            finally:
                connection.close()  # back to the pool, whatever the thread does next

        on_thread = sync_to_async(look, thread_sensitive=False, executor=self._threads)

        async def answer(request: HttpRequest) -> HttpResponseBase:
            return await holding.answer(request, on_thread, self.changes)

        self._middleware_chain = answer

    async def close(self) -> None:
        """End the subscription and the threads, for whoever runs more than one server in a process."""
        await self.live.close()
        self._threads.shutdown()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        live.current.set(self.live)
        match scope["type"]:
            case "http":
                await self.handle(scope, receive, send)
            case "websocket":
                await self._socket(scope, receive, send)
            case kind:
                raise ValueError(f"{kind} is not served here")

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        if scope["path"].rstrip("/") == SOCKET_PATH:
            await Socket(self.live, self.overviews, Guest(scope), receive, send).run()
        else:
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
