"""`X-Request-Id` on every response, taken from the request or made, and bound to every log line of that request."""

import re
import uuid
from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

ACCEPTED = re.compile(r"[\w.:/+=-]{1,100}\Z")


class RequestIdMiddleware:
    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        offered = request.headers.get("X-Request-Id", "")
        request.request_id = offered if ACCEPTED.match(offered) else uuid.uuid4().hex  # type: ignore[attr-defined]
        if self.is_async:
            return self._answer_async(request)
        with structlog.contextvars.bound_contextvars(request_id=request.request_id):  # type: ignore[attr-defined]
            response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        request_id: str = request.request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            assert isinstance(response, Awaitable)
            answer = await response
        answer["X-Request-Id"] = request_id
        return answer
