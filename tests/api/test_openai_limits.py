"""Limits, roles and keys under /v1: the same as everywhere, told as OpenAI's clients read them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tasks_app.models import OpenAIBatch, Task
from tenants_app import keys
from tenants_app.models import Membership, Organization, Role
from tests.api.conftest import client_with, error_of
from tests.factories import make_user
from workers_app.models import Model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}


def ask(api: Client) -> Any:
    return api.post(CHAT, HELLO, content_type="application/json")


def test_a_full_queue_is_told_with_when_to_come_again(api: Client, organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(queued_limit=1)
    assert ask(api).status_code == 504, "taken"
    answer = ask(api)
    assert error_of(answer, 429, "queue_full")["type"] == "rate_limit_error"
    assert int(answer["Retry-After"]) > 0
    assert Task.objects.count() == 1


def test_a_batch_that_does_not_fit_into_the_queue_is_not_made(api: Client, organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(queued_limit=2)
    assert ask(api).status_code == 504, "taken"
    lines = [{"custom_id": str(n), "method": "POST", "url": CHAT, "body": HELLO} for n in range(2)]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = api.post("/v1/files", {"file": SimpleUploadedFile("r.jsonl", content), "purpose": "batch"}).json()
    asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    error_of(api.post("/v1/batches", asked, content_type="application/json"), 429, "queue_full")
    assert not OpenAIBatch.objects.exists()


def test_a_key_for_some_models_sees_and_uses_only_those(organization: Organization) -> None:
    Model.objects.create(task_type="llm", name="other", runner="simulated")
    _, secret = keys.create(organization, "narrow", allowed_models=["other"])
    api = client_with(secret)
    assert [row["id"] for row in api.get("/v1/models").json()["data"]] == ["other"]
    error_of(api.get("/v1/models/simulated"), 404, "model_not_found")
    error_of(api.post(CHAT, {**HELLO, "model": "simulated"}, content_type="application/json"), 403, "permission_denied")


def test_a_viewer_may_look_and_not_ask(organization: Organization) -> None:
    person = make_user(organization)
    Membership.objects.filter(user=person).update(role=Role.VIEWER)
    api = client_with(keys.create(organization, "looks", person)[1])
    assert api.get("/v1/models").status_code == 200
    error_of(ask(api), 403, "permission_denied")
