"""The HTTP client of the checks: JSON in and out, every failure a Trouble that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.check import advice
from orchestrator.check.trouble import Refused, Unreachable

CONNECT_TIME = 5.0  # seconds
ANSWER_TIME = 15.0  # seconds, on top of what the server was asked to wait
CONNECTIONS = 16  # more than a load has clients

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    content_type: str


class Api:
    """Safe to use from several threads. Raises Unreachable and Refused."""

    def __init__(self, url: str, key: str = "", transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(ANSWER_TIME, connect=CONNECT_TIME),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, *, wait: int = 0) -> Json:
        """`wait`: seconds that the server may hold its answer."""
        return self._json(self._send("GET", path, wait=wait))

    def post(self, path: str, body: Json) -> Json:
        return self._json(self._send("POST", path, body=body))

    def patch(self, path: str, *, wait: int = 0) -> Json:
        return self._json(self._send("PATCH", path, wait=wait))

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def probe(self, path: str) -> Json:
        """An answer that is JSON whether its status says 200 or 503."""
        return self._json(self._request("GET", path))

    def download(self, path: str) -> File:
        response = self._send("GET", path)
        return File(response.content, response.headers.get("content-type", ""))

    def _send(self, method: str, path: str, *, body: Json | None = None, wait: int = 0) -> httpx.Response:
        response = self._request(method, path, body=body, wait=wait)
        if response.is_success:
            return response
        raise _refusal(response)

    def _request(self, method: str, path: str, *, body: Json | None = None, wait: int = 0) -> httpx.Response:
        timeout = httpx.Timeout(ANSWER_TIME + wait, connect=CONNECT_TIME)
        try:
            return self._http.request(
                method, path, json=body, params={"wait": str(wait)} if wait else None, timeout=timeout
            )
        except httpx.TransportError as error:
            reason = f"{self.url} does not answer: {str(error) or type(error).__name__}"
            raise Unreachable(reason, advice.UNREACHABLE) from error

    def _json(self, response: httpx.Response) -> Json:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            reason = f"{self.url} answers, but not as Baton does (status {response.status_code} and no JSON object)"
            raise Unreachable(reason, advice.NOT_BATON)
        return document


def _refusal(response: httpx.Response) -> Refused:
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", response.reason_phrase
    reason = f"{response.request.method} {response.request.url.path} is answered {response.status_code}: {message}"
    return Refused(response.status_code, code, reason, advice.of_refusal(response.status_code, code))
