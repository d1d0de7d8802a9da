"""How requests look on the wire. For both clients; the only other place that knows httpx is where they send."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TypedDict

import httpx

from baton_client.calls import part
from baton_client.credentials import Credentials
from baton_client.errors import NoCredentials
from baton_client.plans import Request
from baton_client.shapes.tasks import Artifact
from baton_client.version import VERSION

CONNECT_TIME = 5.0  # seconds
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=4.0)  # uvicorn closes after 5


class Options(TypedDict):
    base_url: str
    headers: dict[str, str]
    limits: httpx.Limits
    verify: ssl.SSLContext


@cache
def trusted() -> ssl.SSLContext:
    """To read the certificates takes as long as ten requests: the clients of a process share them."""
    return httpx.create_ssl_context()


def options(credentials: Credentials) -> Options:
    """Raises NoCredentials for what is no address."""
    try:
        httpx.URL(credentials.url)
    except httpx.InvalidURL as error:
        raise NoCredentials(f"{credentials.url!r} is no address: {error}") from None
    headers = {"Authorization": f"Bearer {credentials.api_key}", "User-Agent": f"baton-client/{VERSION}"}
    return {"base_url": credentials.url, "headers": headers, "limits": LIMITS, "verify": trusted()}


def built(http: httpx.Client | httpx.AsyncClient, request: Request, timeout: float) -> httpx.Request:
    """`timeout`: seconds for the answer, on top of those that the server was asked to hold it."""
    seconds = timeout + request.hold if request.patience is None else request.patience
    return http.build_request(
        request.method,
        request.path,
        params={name: value for name, value in request.params.items() if value is not None} or None,
        json=request.json,
        content=request.content,
        headers={"Accept": "application/json", **request.headers},
        timeout=httpx.Timeout(seconds, connect=CONNECT_TIME),
    )


def artifact_request(artifact: Artifact | str) -> Request:
    name = artifact.artifact_id if isinstance(artifact, Artifact) else artifact
    return Request("GET", f"/artifacts/{part(name.removeprefix('artifact://'))}", headers={"Accept": "*/*"})
