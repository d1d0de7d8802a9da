"""Sending what plans ask for: on a thread, and on an event loop. The calls are the clients' own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self, TypeVar, cast

import httpx

from baton_client import connection
from baton_client.credentials import find
from baton_client.plans import Plan, Request, Step, persistent, refusal

T = TypeVar("T")


class Wire:
    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, timeout: float = 30.0, patience: float = 30.0
    ) -> None:
        self.credentials = find(url, api_key)
        self.patience = patience
        self._timeout = timeout
        self._http = httpx.Client(**connection.options(self.credentials))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _do(self, plan: Plan[T]) -> T:
        steps = persistent(plan, self.patience)
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._perform(step)
                except httpx.RequestError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            return cast(T, done.value)

    def _perform(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Request):
            return self._send(step)
        time.sleep(step.seconds)
        return None

    def _send(self, request: Request) -> httpx.Response:
        return self._http.send(connection.built(self._http, request, self._timeout))

    @contextmanager
    def _streamed(self, request: Request) -> Iterator[httpx.Response]:
        """An answer to be read piece by piece. Raises what is no success."""
        response = self._http.send(
            connection.built(self._http, request, self._timeout), stream=True, follow_redirects=True
        )
        try:
            if not response.is_success:
                response.read()
                raise refusal(response)
            yield response
        finally:
            response.close()


class AsyncWire:
    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, timeout: float = 30.0, patience: float = 30.0
    ) -> None:
        self.credentials = find(url, api_key)
        self.patience = patience
        self._timeout = timeout
        self._http = httpx.AsyncClient(**connection.options(self.credentials))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _do(self, plan: Plan[T]) -> T:
        steps = persistent(plan, self.patience)
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step)
                except httpx.RequestError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            return cast(T, done.value)

    async def _perform(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Request):
            return await self._send(step)
        await asyncio.sleep(step.seconds)
        return None

    async def _send(self, request: Request) -> httpx.Response:
        return await self._http.send(connection.built(self._http, request, self._timeout))

    @asynccontextmanager
    async def _streamed(self, request: Request) -> AsyncIterator[httpx.Response]:
        """An answer to be read piece by piece. Raises what is no success."""
        response = await self._http.send(
            connection.built(self._http, request, self._timeout), stream=True, follow_redirects=True
        )
        try:
            if not response.is_success:
                await response.aread()
                raise refusal(response)
            yield response
        finally:
            await response.aclose()
