"""Fetching an image that a client named by its address. Runs on the worker, in a thread; trusts nothing it is told."""

from __future__ import annotations

import time
from urllib.parse import urljoin

import httpcore
import httpx
from django.conf import settings

from tasks_app.deadline import Within
from tasks_app.guard import PublicOnly, RefusedAddress
from tasks_app.images.formats import InvalidImage

TOTAL_SECONDS = 20.0
MAX_REDIRECTS = 3
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = [("User-Agent", "Baton"), ("Accept", "image/*"), ("Accept-Encoding", "identity")]


class DownloadFailed(Exception):
    """It may work another time. The message is for clients."""


def download(url: str) -> bytes:
    """At most MAX_IMAGE_BYTES. Raises InvalidImage for an address that is refused or a file that is too large."""
    deadline = time.monotonic() + TOTAL_SECONDS
    backend = httpcore.SyncBackend() if settings.ALLOW_PRIVATE_IMAGE_HOSTS else PublicOnly()
    timed = Within(backend, deadline)
    with httpcore.ConnectionPool(ssl_context=httpx.create_ssl_context(), network_backend=timed) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            fetched = _fetch(pool, url)
            if isinstance(fetched, bytes):
                return fetched
            url = urljoin(url, fetched)
    raise DownloadFailed(f"The image's address redirects more than {MAX_REDIRECTS} times.")


def _fetch(pool: httpcore.ConnectionPool, url: str) -> bytes | str:
    """The content, or where it is said to be."""
    try:
        with pool.stream("GET", _parsed(url), headers=HEADERS) as response:
            if response.status in REDIRECTS:
                return _location(response)
            if response.status != 200:
                raise DownloadFailed(f"The image's host answered {response.status}.")
            return _read(response)
    except RefusedAddress as error:
        raise InvalidImage(f"is not on a public host: {error}") from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        raise DownloadFailed(f"The image could not be fetched: {str(error) or type(error).__name__}") from None


def _parsed(url: str) -> httpcore.URL:
    """Names with other letters than ASCII become the ones that resolvers know; a user and password are left out."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidImage(f"is at an address that cannot be used: {error}") from None
    if parts.scheme != "https" or not parts.host:
        raise InvalidImage("is not at an https URL")
    return httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)


def _read(response: httpcore.Response) -> bytes:
    content = bytearray()
    for piece in response.iter_stream():
        content += piece
        if len(content) > settings.MAX_IMAGE_BYTES:
            raise InvalidImage(f"must be at most {settings.MAX_IMAGE_BYTES} bytes")
    return bytes(content)


def _location(response: httpcore.Response) -> str:
    for name, value in response.headers:
        if name.lower() == b"location":
            return value.decode("latin-1")
    raise DownloadFailed("The image's host redirects to nowhere.")
