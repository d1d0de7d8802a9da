"""Limits under a crowd: real web processes, and hundreds of requests at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from orchestrator.local import listener
from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.faults
LIMIT, CROWD = 20, 300


@pytest.fixture
def addresses(stack: Stack) -> Iterator[list[str]]:
    """Two web processes, which know of each other only what Redis and PostgreSQL tell."""
    stack.needs_redis()
    second = listener.listen("127.0.0.1", 0)
    command = ["uvicorn", "orchestrator.asgi:application", "--fd", str(second.fileno()), "--lifespan", "off"]
    stack.spawn("web2", "-m", *command, "--log-level", "warning", pass_fds=[second.fileno()])
    found = [str(stack.api.base_url), f"http://127.0.0.1:{second.getsockname()[1]}"]
    wait_until(lambda: httpx.get(f"{found[1]}/healthz", timeout=60).status_code == 200, 60, "the second web process")
    yield found
    second.close()


def key_of_new_organization(stack: Stack, **limits: int) -> str:
    organization, prefix, secret = uuid4(), uuid4().hex[:8], "s" * 43
    values = {"requests_per_minute": None, "queued_limit": None} | limits
    stack.query(
        "INSERT INTO tenants_app_organization (id, slug, name, requests_per_minute, queued_limit)"
        " VALUES (%s, %s, 'x', %s, %s) RETURNING id",
        organization, f"org-{prefix}", values["requests_per_minute"], values["queued_limit"],
    )  # fmt: skip
    stack.query(
        "INSERT INTO tenants_app_apikey (id, organization_id, name, prefix, secret_sha256, scopes, allowed_models)"
        " VALUES (%s, %s, 'x', %s, %s, '{tasks:read,tasks:write}', '{}') RETURNING id",
        uuid4(), organization, prefix, hashlib.sha256(secret.encode()).digest(),
    )  # fmt: skip
    return f"baton_{prefix}_{secret}"


def crowd(addresses: list[str], key: str, method: str, path: str, body: Any = None) -> list[httpx.Response]:
    """All at once, spread over the processes."""

    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60, limits=limits) as client:
            asked = (
                client.request(method, addresses[number % 2] + path, content=json.dumps(body) if body else None,
                               headers={"Content-Type": "application/json"})
                for number in range(CROWD)
            )  # fmt: skip
            return await asyncio.gather(*asked)

    with ThreadPoolExecutor(1) as elsewhere:  # a browser's tests leave an event loop on this thread
        return elsewhere.submit(asyncio.run, send()).result()


def test_of_300_requests_at_once_exactly_as_many_pass_as_the_limit_says(stack: Stack, addresses: list[str]) -> None:
    stack.needs_redis()
    key = key_of_new_organization(stack, requests_per_minute=LIMIT)
    answers = crowd(addresses, key, "GET", "/organization/")
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: CROWD - LIMIT}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in answers if answer.status_code == 429)
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 429} == {"rate_limited"}


def test_of_300_submits_at_once_exactly_as_many_pass_as_may_wait(stack: Stack, addresses: list[str]) -> None:
    key = key_of_new_organization(stack, queued_limit=LIMIT)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # so that none stops waiting meanwhile
    body = {"task_type": "llm", "model": "simulated", "input": {"prompt": "x"}, "run_at": tomorrow}
    answers = crowd(addresses, key, "POST", "/tasks/", body)
    assert Counter(answer.status_code for answer in answers) == {201: LIMIT, 429: CROWD - LIMIT}
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 429} == {"queue_full"}
    mine = {"Authorization": f"Bearer {key}"}
    cancel = {"filter": {"status": ["pending"]}}
    answer = httpx.post(f"{addresses[0]}/tasks/bulk/cancel", headers=mine, json=cancel, timeout=60)
    assert answer.json()["cancelled"] == LIMIT


def test_while_redis_is_frozen_requests_pass_and_do_not_wait_long(stack: Stack, addresses: list[str]) -> None:
    stack.needs_redis()
    key = key_of_new_organization(stack, requests_per_minute=LIMIT)
    stack.freeze_broker()
    try:
        answers = crowd(addresses, key, "GET", "/organization/")
    finally:
        stack.thaw_broker()
    assert Counter(answer.status_code for answer in answers) == {200: CROWD}
