"""The package `openai` itself against a whole Baton of real processes, with shipped models and simulated ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.faults.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("openai"), OPENAI_WAIT_SECONDS="60") as stack:
        yield stack
        stack.settle()  # whoever left whatever: every task has ended, and the oracle has nothing to say


def key_of(directory: Path) -> str:
    return str(json.loads((directory / "data" / "credentials.json").read_text())["api_key"])


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    """As its users make it: nothing but the address and the key."""
    with OpenAI(base_url=f"{stack.api.base_url}/v1", api_key=key_of(stack.directory)) as client:
        yield client
