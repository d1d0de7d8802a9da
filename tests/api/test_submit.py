"""POST /tasks/."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tasks_app.models import Task, TaskEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def post(client: Client, body: Any) -> Any:
    return client.post("/tasks/", body, content_type="application/json")


def test_a_task_is_accepted_with_every_default_filled_in(api: Client) -> None:
    response = post(api, {"task_type": "llm", "input": {"prompt": "Hello"}})
    assert response.status_code == 201, response.json()
    task = response.json()
    assert response["Location"] == task["urls"]["self"]
    assert (task["status"], task["priority"], task["model"]) == ("pending", 5, "simulated")
    assert task["parameters"] == {
        "seed": None, "max_new_tokens": 256, "temperature": 1.0, "top_p": None, "top_k": None,
        "repetition_penalty": None, "stop": [],
    }  # fmt: skip
    assert Task.objects.get().parameters == task["parameters"]
    assert TaskEvent.objects.get().type == "task.created"
