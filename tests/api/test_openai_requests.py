"""What the routes under /v1 make of a request: which task, and what they refuse. No worker runs here."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from orchestrator.openapi import document
from tasks_app.models import Artifact, Task
from tasks_app.openai import urls
from tests.api.conftest import error_of
from tests.api.test_submit import data_url, picture
from tests.factories import make_worker
from workers_app.models import Model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
HELLO = [{"role": "user", "content": "Hello!"}]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


def post(api: Client, path: str, **body: Any) -> Any:
    return api.post(path, body, content_type="application/json")


def task_of(response: Any) -> Task:
    """Of a call that would be held now; a server that cannot hold says that its time is over."""
    error_of(response, 504, "wait_timeout")
    task = Task.objects.get()
    assert response["X-Task-Id"] == str(task.pk)
    return task


def test_a_chat_is_a_task_with_the_parameters_by_our_names(api: Client) -> None:
    asked = {"model": "simulated", "temperature": 0.5, "top_p": 0.9, "stop": "\n", "seed": 7, "max_tokens": 9,
             "top_k": 3, "repetition_penalty": 1.5, "priority": 8, "metadata": {"order": "17"}}  # fmt: skip
    task = task_of(post(api, CHAT, messages=HELLO, **asked))
    assert (task.task_type, task.model, task.priority) == ("llm", "simulated", 8)
    assert task.input == {"messages": HELLO}
    assert task.metadata == {"order": "17"}
    assert task.parameters == {"temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 7, "max_new_tokens": 9,
                               "top_k": 3, "repetition_penalty": 1.5}  # fmt: skip


def test_a_task_that_nobody_waits_for_any_more_does_not_start(api: Client, settings: Any) -> None:
    settings.OPENAI_WAIT_SECONDS = 77
    assert task_of(post(api, CHAT, messages=HELLO)).start_timeout == 77


def test_without_a_limit_a_chat_gets_all_that_its_model_may_write(api: Client) -> None:
    Model.objects.filter(task_type="llm").update(limits={"max_new_tokens": 333})
    assert task_of(post(api, CHAT, messages=HELLO)).parameters["max_new_tokens"] == 333


def test_a_default_of_the_model_comes_before_that(api: Client) -> None:
    Model.objects.filter(task_type="llm").update(defaults={"max_new_tokens": 44})
    assert task_of(post(api, CHAT, messages=HELLO)).parameters["max_new_tokens"] == 44


def test_the_newer_of_the_two_names_of_the_limit_wins(api: Client) -> None:
    task = task_of(post(api, CHAT, messages=HELLO, max_tokens=5, max_completion_tokens=6))
    assert task.parameters["max_new_tokens"] == 6


def test_a_developer_is_a_system_and_parts_are_joined(api: Client) -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    messages = [{"role": "developer", "content": "Be brief.", "name": "boss"}, {"role": "user", "content": parts}]
    assert task_of(post(api, CHAT, messages=messages)).input["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One.\nTwo."},
    ]


def test_a_question_about_an_image_is_a_task_of_that_type(api: Client) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(picture()), "detail": "low"}},
    ]
    asked = {"temperature": 0.2, "max_tokens": 20, "seed": 3}
    task = task_of(post(api, CHAT, messages=[{"role": "user", "content": parts}], **asked))
    assert task.task_type == "image_to_text"
    assert task.input == {"prompt": "What is it?", "image": f"artifact://{Artifact.objects.get().pk}"}
    assert task.parameters == {"max_new_tokens": 20, "seed": 3}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/fox.png"}}


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([{"role": "user", "content": "Hi", "tool_calls": [{}]}], "messages.0.tool_calls"),
        ([{"role": "tool", "content": "Hi"}], "messages.0.role"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages.0.content.0.type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages.0.content.0.text"),
        ([{"role": "user", "content": None}], "messages.0.content"),
        ([{"role": "user", "content": [IMAGE, IMAGE]}], "messages"),
        ([{"role": "system", "content": [IMAGE]}], "messages"),
        ([{"role": "user", "content": [IMAGE]}, {"role": "assistant", "content": "A fox."}], "messages"),
        ([{"role": "user", "content": [{**IMAGE, "image_url": {"url": "ftp://x"}}]}], "messages"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "messages.0.content"),
    ],
)
def test_messages_that_cannot_be_taken_are_refused_by_name(api: Client, messages: Any, param: str) -> None:
    assert error_of(post(api, CHAT, messages=messages), 400, "invalid_input")["param"] == param
    assert not Task.objects.exists()


WANTED = {
    "n": 2, "frequency_penalty": 0.5, "presence_penalty": -1, "logit_bias": {"50256": -100}, "logprobs": True,
    "top_logprobs": 3, "tools": [{"type": "function"}], "tool_choice": "required", "functions": [{}],
    "function_call": {"name": "f"}, "response_format": {"type": "json_object"}, "modalities": ["text", "audio"],
    "audio": {"voice": "alloy"}, "prediction": {"type": "content"}, "web_search_options": {}, "moderation": {},
    "reasoning_effort": "low", "verbosity": "high",
}  # fmt: skip


@pytest.mark.parametrize("name", WANTED)
def test_what_would_change_the_answer_and_is_not_done_here_is_refused(api: Client, name: str) -> None:
    error = error_of(post(api, CHAT, messages=HELLO, **{name: WANTED[name]}), 400, "invalid_input")
    assert error["param"] == name
    assert "not supported here" in error["message"]
    assert not Task.objects.exists()


def test_what_asks_for_nothing_or_changes_nothing_is_taken(api: Client) -> None:
    nothing = {**dict.fromkeys(WANTED), "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {},
               "logprobs": False, "tools": [], "tool_choice": "none", "response_format": {"type": "text"},
               "stream": False, "stop": None, "max_tokens": None, "temperature": None}  # fmt: skip
    ignored = {"user": "jo", "safety_identifier": "jo", "store": True, "service_tier": "flex", "metadata": None,
               "prompt_cache_key": "k", "prompt_cache_options": {}, "parallel_tool_calls": True}  # fmt: skip
    task_of(post(api, CHAT, messages=HELLO, **nothing, **ignored))


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"steam": True}, "steam"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"simulate": {"seconds": -1}}, "simulate.seconds"),
        ({"model": ""}, "model"),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_refused_by_name(api: Client, asked: dict[str, Any], param: str) -> None:
    assert error_of(post(api, CHAT, messages=HELLO, **asked), 400, "invalid_input")["param"] == param


def test_a_bound_of_the_model_is_told_by_the_clients_name(api: Client) -> None:
    Model.objects.filter(task_type="llm").update(limits={"max_new_tokens": 10})
    error = error_of(post(api, CHAT, messages=HELLO, max_tokens=11), 400, "invalid_input")
    assert (error["param"], error["message"]) == ("max_tokens", "max_tokens must be at most 10 for this model")


def test_a_prompt_is_a_task_of_at_most_sixteen_tokens(api: Client) -> None:
    task = task_of(post(api, COMPLETIONS, prompt=["Once upon"], best_of=1, echo=False, suffix=None))
    assert task.input == {"prompt": "Once upon"}
    assert task.parameters["max_new_tokens"] == 16


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1]], [], None, "", 5])
def test_several_prompts_tokens_and_none_are_refused(api: Client, prompt: Any) -> None:
    assert error_of(post(api, COMPLETIONS, prompt=prompt), 400, "invalid_input")["param"] == "prompt"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, "/v1/models", "/v1/models/simulated"])
def test_nobody_gets_in_without_a_key(client: Client, path: str) -> None:
    error_of(client.get(path) if "models" in path else client.post(path), 401, "unauthenticated")


def test_an_address_that_is_not_there_is_told_as_json(api: Client) -> None:
    error_of(api.post("/v1/embeddings"), 404, "not_found")


def test_a_model_may_have_slashes_in_its_name(api: Client) -> None:
    Model.objects.create(task_type="llm", name="Qwen/Qwen2.5-0.5B", source="Qwen/Qwen2.5-0.5B")
    assert api.get("/v1/models/Qwen/Qwen2.5-0.5B").json()["id"] == "Qwen/Qwen2.5-0.5B"
    error_of(api.get("/v1/models/Qwen/Qwen3"), 404, "model_not_found")


def test_a_model_that_is_switched_off_is_not_listed(api: Client) -> None:
    Model.objects.create(task_type="llm", name="gone", source="gone", enabled=False)
    assert [row["id"] for row in api.get("/v1/models").json()["data"]] == ["simulated"]


def test_what_nobody_could_ever_run_is_unprocessable(api: Client) -> None:
    make_worker(kinds=["tts"])
    error_of(post(api, CHAT, messages=HELLO), 422, "no_capable_worker")


def test_every_path_under_v1_is_in_the_document() -> None:
    documented = {re.sub(r"{\w+}", "x", path).rstrip("/") for path in document()["paths"]}
    offered = {
        re.sub(r"\(\?P<\w+>[^)]*\)", "x", "/" + str(route.pattern).strip("^$").removesuffix("/?"))
        for route in urls.urlpatterns
    }
    assert offered <= documented
