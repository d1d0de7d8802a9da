"""The OpenAPI document is valid and complete, and the API keeps to it whatever it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from django.urls import get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from orchestrator.openapi import document
from tasks_app.api import urls
from tasks_app.schemas import SCHEMAS

EXAMPLES = 20  # right and wrong ones of each operation, so that all of them take less than 20 s
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def test_the_document_is_valid_and_leaves_no_view_untyped(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(tmp_path / "schema.yaml"))


def test_the_document_is_openapi_3_1_and_names_every_way_to_sign_in() -> None:
    schema = document()
    assert schema["openapi"].startswith("3.1")
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "token", "session"}


def test_every_path_of_the_api_is_in_the_document() -> None:
    documented = {re.sub(r"{\w+}", "x", path).rstrip("/") for path in document()["paths"]}
    offered = {
        re.sub(r"\(\?P<\w+>[^)]*\)", "x", "/" + str(route.pattern).strip("^$").removesuffix("/?"))
        for route in urls.urlpatterns
    }
    assert offered <= documented
    assert get_resolver().resolve("/schema/").url_name == "schema"


def test_every_bound_of_every_task_type_is_in_the_document() -> None:
    components = document()["components"]["schemas"]
    one_of = components["SubmitTaskRequest"]
    assert set(one_of["discriminator"]["mapping"]) == set(SCHEMAS)
    for task_type, schema in SCHEMAS.items():
        request = components[one_of["discriminator"]["mapping"][task_type].rpartition("/")[2]]
        assert request["properties"]["task_type"]["const"] == task_type
        assert request["additionalProperties"] is False
        for part in ("input", "parameters"):
            described = components[request["properties"][part]["$ref"].rpartition("/")[2]]
            assert set(described["properties"]) == set(getattr(schema, part).fields)
            assert described["additionalProperties"] is False
    width = components["StableDiffusionParametersRequest"]["properties"]["width"]
    assert (width["minimum"], width["maximum"], width["multipleOf"]) == (64, 2048, 8)
    assert components["LlmParametersRequest"]["properties"]["top_p"]["exclusiveMinimum"] == 0


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("*/*", "application/json"), ("application/json", "application/json"), ("application/yaml", "application/yaml"),
     ("application/vnd.oai.openapi", "application/vnd.oai.openapi")],
)  # fmt: skip
def test_the_document_is_served_to_everybody_as_json_or_yaml(client: Client, accept: str, content_type: str) -> None:
    response = client.get("/schema/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].split(";")[0] == content_type
    assert b"/tasks/{task_id}/cancel" in response.content


def test_the_document_is_shown_as_a_page_that_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/docs/")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert addresses
    assert all(address.startswith("/static/") for address in addresses)


# Answered when a worker has done the task, and here is none; tests/openai asks them where there is one.
HELD = {f"openai_create_{what}" for what in ("chat_completion", "completion", "image", "speech")}
OPERATIONS = sorted(
    operation["operationId"]
    for path in document()["paths"].values()
    for operation in path.values()
    # readyz asks on another thread, which does not see this test's rows; a file is no JSON; events do not end
    if operation["operationId"] not in {"readyz", "read_artifact", "task_events", *HELD}
)


@pytest.fixture
def application(db: None) -> Iterator[Any]:
    """It leaves the test's connection open, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield get_wsgi_application()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the tool warns of its own matters
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_nothing_that_is_sent_breaks_the_api_or_its_promises(
    operation_id: str, mode: GenerationMode, key: str, catalogue: None, application: Any
) -> None:
    api = schemathesis.openapi.from_wsgi("/schema/", application)
    operation = api.find_operation_by_id(operation_id)
    requests = operation.as_strategy(generation_mode=mode)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(requests)
    def send(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
        case.call_and_validate(checks=CHECKS)

    try:
        send()
    except Unsatisfiable:
        assert mode == GenerationMode.NEGATIVE, "there is nothing that this call takes"
