"""/v1/models, /v1/chat/completions and /v1/completions through the package `openai`."""

from __future__ import annotations

import threading

import openai
import pytest
from openai import OpenAI
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion

from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.slow
HELLO = [{"role": "user", "content": "Hello!"}]


def test_the_models_are_listed_and_found_by_their_id(client: OpenAI) -> None:
    models = client.models.list()
    names = [model.id for model in models]
    assert {"baton-chat", "baton-caption", "simulated"} <= set(names)
    assert len(names) == len(set(names)), "a name that several task types have is listed once"
    one = client.models.retrieve("baton-chat")
    assert Model.model_validate(one.to_dict(), strict=True).owned_by == "baton"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_chat_is_answered_by_the_shipped_model(client: OpenAI, stack: Stack) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="baton-chat", messages=[{"role": "user", "content": "Tell me a story."}], temperature=0, max_tokens=12
    )
    answer = raw.parse()
    ChatCompletion.model_validate(answer.to_dict(), strict=True)
    [choice] = answer.choices
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12
    task = stack.get(raw.headers["x-task-id"])
    assert task["status"] == "completed"
    assert task["result"]["text"] == choice.message.content


def test_without_a_limit_a_chat_goes_on_until_the_model_stops(client: OpenAI, stack: Stack) -> None:
    raw = client.chat.completions.with_raw_response.create(model="baton-chat", messages=HELLO, temperature=0)
    assert raw.parse().choices[0].finish_reason == "stop"
    assert stack.get(raw.headers["x-task-id"])["parameters"]["max_new_tokens"] == 400


def test_an_answer_can_be_sent_back_as_part_of_the_next_question(client: OpenAI) -> None:
    first = client.chat.completions.create(model="simulated", messages=HELLO)
    parts = [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]
    asked = {"role": "user", "content": parts}
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO, first.choices[0].message, asked]
    second = client.chat.completions.create(model="simulated", messages=messages)  # type: ignore[arg-type]
    assert "And\\nnow?" in str(second.choices[0].message.content)


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    def ask(seed: int) -> str | None:
        answer = client.chat.completions.create(
            model="baton-chat", messages=HELLO, seed=seed, temperature=2, max_completion_tokens=40
        )
        return answer.choices[0].message.content

    assert ask(1) == ask(1)
    assert len({ask(seed) for seed in range(1, 7)}) > 1


def test_a_stop_text_ends_the_answer_and_is_no_part_of_it(client: OpenAI) -> None:
    def ask(stop: str | list[str] | None) -> str:
        answer = client.chat.completions.create(
            model="baton-chat", messages=[{"role": "user", "content": "Tell me a story."}], temperature=0, stop=stop
        )
        assert answer.choices[0].finish_reason == "stop"
        return str(answer.choices[0].message.content)

    whole = ask(None)
    word = whole.split()[3]
    assert ask(word) == ask(["never said", word]) == whole.partition(word)[0]


def test_a_prompt_is_completed(client: OpenAI) -> None:
    answer = client.completions.create(model="baton-chat", prompt=["Tell me a story."], temperature=0)
    Completion.model_validate(answer.to_dict(), strict=True)
    [choice] = answer.choices
    assert choice.text
    assert choice.finish_reason == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 16, "as these clients expect where no limit is set"


def test_the_bounds_of_a_task_hold_and_are_named_as_the_client_knows_them(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="baton-chat", messages=HELLO, max_tokens=5000)
    assert caught.value.param == "max_tokens"
    assert caught.value.code == "invalid_input"
    assert "max_tokens must be at most 400 for this model" in caught.value.message
    assert caught.value.request_id


def test_a_model_that_is_not_there_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_an_authentication_error(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="baton_wrong_key").chat.completions.create(model="simulated", messages=HELLO)


def test_a_task_that_fails_is_an_error_with_its_cause_and_is_not_sent_again(client: OpenAI, stack: Stack) -> None:
    before = stack.query("SELECT count(*) FROM tasks_app_task")
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="simulated", messages=HELLO, extra_body={"simulate": {"fail": "error", "fail_attempts": 99}}
        )
    assert (caught.value.status_code, caught.value.code) == (500, "internal_error")
    assert "simulated failure" in caught.value.message
    [(count,)] = before
    assert stack.query("SELECT count(*) FROM tasks_app_task") == [(count + 1,)], "the package would have tried it twice"
    assert stack.get(caught.value.response.headers["x-task-id"])["status"] == "failed"


def test_input_that_only_the_model_can_refuse_is_a_bad_request(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="baton-chat", messages=[{"role": "user", "content": "long " * 2000}])
    assert "context holds 512" in caught.value.message


def test_a_task_that_somebody_cancels_is_a_conflict(client: OpenAI, stack: Stack) -> None:
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            client.chat.completions.create(model="simulated", messages=HELLO, extra_body={"simulate": {"seconds": 50}})
        except openai.OpenAIError as error:
            caught.append(error)

    known = {task["task_id"] for task in stack.api.get("/tasks/?limit=200").json()["results"]}
    thread = threading.Thread(target=ask)
    thread.start()

    def new_task() -> str | None:
        tasks = stack.api.get("/tasks/?limit=5&status=running").json()["results"]
        return next((task["task_id"] for task in tasks if task["task_id"] not in known), None)

    task_id = wait_until(new_task, what="the task to run")
    assert stack.api.patch(f"/tasks/{task_id}/cancel").status_code in (200, 202)
    thread.join(30)
    [error] = caught
    assert isinstance(error, openai.ConflictError)
    assert error.code == "task_cancelled"
