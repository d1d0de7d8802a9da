"""A running Baton for the tests of the client: real processes, the simulated models and the small ones that ship."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from baton_client import Batch, Client

from tests.client.program import Command, Program
from tests.client.test_tasks import PROMPT, simulated
from tests.faults.stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Not for the whole session: it would stand there idle, with models loaded, for the rest of the tests."""
    with running_stack(tmp_path_factory.mktemp("client")) as stack:
        yield stack


@pytest.fixture(scope="package")
def url(stack: Stack) -> str:
    return str(stack.api.base_url).rstrip("/")


@pytest.fixture(scope="package")
def key(stack: Stack) -> str:
    return stack.api.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def client(url: str, key: str) -> Iterator[Client]:
    with Client(url, key) as client:
        yield client


@pytest.fixture(scope="package")
def many(url: str, key: str) -> Batch:
    """230 tasks that have completed: more than a page of the list, and than a pipe holds."""
    with Client(url, key) as client:
        batch = client.submit_batch([{"task_type": "llm", "input": PROMPT, **simulated(0)}] * 230)
        client.wait_batch(batch.batch_id, timeout=100)
    return batch


@pytest.fixture
def baton(url: str, key: str) -> Command:
    """The command line, in this process."""
    return Command({"BATON_URL": url, "BATON_API_KEY": key})


@pytest.fixture
def process(url: str, key: str) -> Program:
    """The command line, as a process of its own."""
    return Program({"BATON_URL": url, "BATON_API_KEY": key})
