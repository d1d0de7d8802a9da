"""Requests per minute: what a request meets, the headers that tell of it, and the 429.

Counted once for each request of somebody who is known; nothing is asked of Redis where no limit is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tasks_app import rates
from tasks_app.api.errors import RateLimited
from tasks_app.rates import WINDOW, Counted, Rate
from tenants_app.identity import Identity

SIGN_INS_PER_NAME, SIGN_INS_PER_ADDRESS = 10, 60  # a minute; each costs a slow hash of the password


class RequestLimit(BaseThrottle):
    """DRF's throttle for every view. Raises RateLimited."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.user, Identity) and not hasattr(request._request, "hold"):  # a held one was counted
            refuse_beyond(request._request, rates_of(request.user), rates.count)
        return True


def rates_of(identity: Identity) -> list[Rate]:
    """The key's own first: what it refuses is not counted against the others of its organization."""
    organization = identity.organization
    limits = [
        ("key", str(identity.api_key_id), identity.key_requests_per_minute),
        ("organization", str(organization.pk), organization.requests_per_minute),
    ]
    return [Rate(kind, name, limit) for kind, name, limit in limits if limit is not None]


def refuse_beyond(request: HttpRequest, limits: Iterable[Rate], count: Callable[[Rate], Counted | None]) -> None:
    """Raises RateLimited at the first limit that is reached. What was met is noted for the headers."""
    met: list[Counted] = []
    request.rates = met  # type: ignore[attr-defined]
    for rate in limits:
        counted = count(rate)
        if counted is None:
            continue
        met.append(counted)
        if not counted.allowed:
            raise RateLimited(rate, counted.reset_seconds)


def sign_in_rates(request: HttpRequest, username: str) -> list[Rate]:
    return [
        Rate("sign-in-address", str(request.META.get("REMOTE_ADDR", "")), SIGN_INS_PER_ADDRESS),
        Rate("sign-in-name", username, SIGN_INS_PER_NAME),
    ]


class RateLimitHeaders:
    """Django's middleware: RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers-11 has them."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        met: list[Counted] = getattr(request, "rates", [])
        if met:
            response["RateLimit-Policy"] = ", ".join(f'"{c.rate.kind}";q={c.rate.limit};w={WINDOW}' for c in met)
            response["RateLimit"] = ", ".join(f'"{c.rate.kind}";r={c.remaining};t={c.reset_seconds}' for c in met)
        return response
