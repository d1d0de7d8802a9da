"""Django under ASGI, arranged for short calls: middleware and view run as one piece on a thread of a shared pool.

Django's own handler makes a thread per request and hops to it for every middleware, which costs half the throughput.
Answers that are held wait on the event loop, between two such pieces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponseBase

from tasks_app.openai import leaving
from tasks_app.realtime import holding
from tasks_app.realtime.changes import Changes

A = TypeVar("A")
R = TypeVar("R")


class ThreadedHandler(ASGIHandler):
    def __init__(self) -> None:
        self.changes = Changes()
        self._threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="web")
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        chain: Callable[[HttpRequest], HttpResponseBase] = self._middleware_chain  # type: ignore[has-type]
        look, cancel = self._on_thread(chain), self._on_thread(leaving.cancel)

        async def hold(request: HttpRequest, look: leaving.Look) -> HttpResponseBase:
            return await holding.answer(request, look, self.changes)

        async def answer(request: HttpRequest) -> HttpResponseBase:
            return await leaving.answer(request, look, hold, cancel)

        self._middleware_chain = answer

    def _on_thread(self, function: Callable[[A], R]) -> Callable[[A], Awaitable[R]]:
        def run(argument: A) -> R:
            try:
                return function(argument)
            finally:
                connection.close()  # back to the pool, whatever the thread does next

        return sync_to_async(run, thread_sensitive=False, executor=self._threads)

    async def close(self) -> None:
        """End the subscription and the threads, for whoever runs more than one server in a process."""
        await self.changes.close()
        self._threads.shutdown()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served here")
        await self.handle(scope, receive, send)
