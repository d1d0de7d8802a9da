"""The OpenAPI document says what real answers under /v1 are, and they keep to it whatever they are sent."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from tests.api.test_openapi_contract import HELD
from tests.faults.stack import Stack
from tests.openai.conftest import key_of

pytestmark = pytest.mark.slow
EXAMPLES = 6
HELLO = [{"role": "user", "content": "Hello!"}]


def check(document: dict[str, Any], component: str, answer: Any) -> None:
    """It is what the component says, and names nothing that the component does not."""
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{component}", **document}).validate(answer)
    assert set(answer) <= set(document["components"]["schemas"][component]["properties"])


@pytest.fixture
def document(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.api.get("/schema/").json()
    return found


@pytest.mark.parametrize(
    ("path", "body", "component"),
    [
        ("chat/completions", {"messages": HELLO}, "ChatCompletion"),
        ("completions", {"prompt": "Hello"}, "Completion"),
        ("images/generations", {"prompt": "a red circle"}, "Images"),
        ("chat/completions", {"messages": HELLO, "n": 2}, "Error"),
    ],
)
def test_an_answer_is_what_the_document_says(
    stack: Stack, document: dict[str, Any], path: str, body: dict[str, Any], component: str
) -> None:
    check(document, component, stack.api.post(f"/v1/{path}", json={"model": "simulated", **body}).json())


@pytest.mark.parametrize(
    ("path", "body", "component"),
    [
        ("chat/completions", {"messages": HELLO}, "ChatCompletionChunk"),
        ("completions", {"prompt": "Hello"}, "CompletionChunk"),
    ],
)
def test_every_piece_is_what_the_document_says(
    stack: Stack, document: dict[str, Any], path: str, body: dict[str, Any], component: str
) -> None:
    asked = {"model": "simulated", "stream": True, "stream_options": {"include_usage": True}, **body}
    lines = stack.api.post(f"/v1/{path}", json=asked).text.splitlines()
    pieces = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert pieces.pop() == "[DONE]"
    for piece in pieces:
        check(document, component, json.loads(piece))


@pytest.mark.filterwarnings("default")  # the tool warns of its own matters
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation_id", sorted(HELD))
def test_nothing_that_is_sent_breaks_a_held_call(operation_id: str, mode: GenerationMode, stack: Stack) -> None:
    api = schemathesis.openapi.from_url(f"{stack.api.base_url}/schema/")
    requests = api.find_operation_by_id(operation_id).as_strategy(generation_mode=mode)
    headers = {"Authorization": f"Bearer {key_of(stack.directory)}"}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(requests)
    def send(case: Any) -> None:
        case.headers = {**(case.headers or {}), **headers}
        case.call_and_validate(checks=[not_a_server_error, status_code_conformance], timeout=60)

    send()


def test_what_these_clients_may_ask_for_elsewhere_is_told_to_be_missing(stack: Stack) -> None:
    for path in ("responses", "embeddings", "audio/transcriptions", "fine_tuning/jobs"):
        answer = httpx.post(f"{stack.api.base_url}/v1/{path}", json={})
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
