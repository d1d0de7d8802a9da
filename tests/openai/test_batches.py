"""/v1/files and /v1/batches through the package `openai`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types import Batch, FileObject

from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.slow
CHAT: Any = "/v1/chat/completions"


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    usual = {"model": "simulated", "messages": [{"role": "user", "content": "Hello!"}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": usual | body}


def upload(client: OpenAI, *lines: Any) -> FileObject:
    content = "\n".join(json.dumps(each) for each in lines).encode()
    return client.files.create(file=("requests.jsonl", content), purpose="batch")


def submit(client: OpenAI, *lines: Any, **options: Any) -> Batch:
    file = upload(client, *lines)
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **options)


def ended(client: OpenAI, batch_id: str) -> Batch:
    def look() -> Batch | None:
        batch = client.batches.retrieve(batch_id)
        return batch if batch.status in ("completed", "failed", "expired", "cancelled") else None

    batch: Batch = wait_until(look, 60, "the batch to end")
    Batch.model_validate(batch.to_dict(), strict=True)
    return batch


def lines_of(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id
    rows = [json.loads(row) for row in client.files.content(file_id).text.splitlines()]
    return {row["custom_id"]: row for row in rows}


def test_a_file_is_kept_listed_and_deleted(client: OpenAI) -> None:
    file = upload(client, line("one"))
    FileObject.model_validate(file.to_dict(), strict=True)
    assert (file.filename, file.purpose, file.status) == ("requests.jsonl", "batch", "processed")
    assert json.loads(client.files.content(file.id).content) == line("one")
    assert client.files.retrieve(file.id) == file
    assert file.id in [each.id for each in client.files.list(purpose="batch")]
    assert client.files.delete(file.id).deleted
    assert file.id not in [each.id for each in client.files.list()]
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(file.id)


def test_a_large_file_goes_through_the_disk(client: OpenAI) -> None:
    content = b"x" * 5_000_000
    file = client.files.create(file=("large.jsonl", content), purpose="batch")
    assert file.bytes == len(content)
    assert client.files.content(file.id).content == content
    client.files.delete(file.id)


def test_files_are_paged_in_either_order(client: OpenAI) -> None:
    made = [upload(client, line(str(number))).id for number in range(5)]
    listed = [file.id for file in client.files.list(limit=2)]  # the package turns the pages
    assert [each for each in listed if each in made] == made[::-1]
    oldest_first = [file.id for file in client.files.list(limit=3, order="asc")]
    assert oldest_first == listed[::-1]


def test_only_files_with_requests_are_taken(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("tune.jsonl", b"{}"), purpose="fine-tune")
    assert caught.value.param == "purpose"


def test_a_batch_answers_each_request_and_keeps_errors_apart(client: OpenAI, stack: Stack) -> None:
    batch = submit(
        client,
        line("story", model="baton-chat", messages=[{"role": "user", "content": "Tell me a story."}], temperature=0),
        line("simulated", metadata={"order": "17"}),
        line("broken", simulate={"fail": "error", "fail_attempts": 99}),
        metadata={"night": "tuesday"},
    )
    Batch.model_validate(batch.to_dict(), strict=True)
    assert (batch.status, batch.metadata) == ("in_progress", {"night": "tuesday"})
    assert batch.request_counts
    assert batch.request_counts.total == 3
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    assert batch.request_counts
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    answers, errors = lines_of(client, batch.output_file_id), lines_of(client, batch.error_file_id)
    assert set(answers) == {"story", "simulated"}
    plain = client.chat.completions.create(
        model="baton-chat", messages=[{"role": "user", "content": "Tell me a story."}], temperature=0
    )
    body = openai.types.chat.ChatCompletion.model_validate(answers["story"]["response"]["body"], strict=True)
    assert body.choices[0].message == plain.choices[0].message
    assert answers["story"]["response"]["status_code"] == 200
    assert set(errors) == {"broken"}
    assert errors["broken"]["response"]["status_code"] == 500
    assert errors["broken"]["response"]["body"]["error"]["code"] == "internal_error"
    assert batch.usage
    assert batch.usage.output_tokens >= body.usage.completion_tokens  # type: ignore[union-attr]
    task = stack.get(answers["simulated"]["response"]["request_id"])
    assert task["metadata"] == {"order": "17", "custom_id": "simulated"}
    assert task["priority"] == 3
    assert batch.output_file_id in [file.id for file in client.files.list(purpose="batch_output")]


def test_completions_are_batched_too(client: OpenAI) -> None:
    url: Any = "/v1/completions"
    request = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "simulated", "prompt": "Hello"}}
    file = upload(client, request)
    batch = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    answers = lines_of(client, ended(client, batch.id).output_file_id)
    assert answers["a"]["response"]["body"]["object"] == "text_completion"


def test_a_batch_with_a_wrong_line_fails_and_says_which(client: OpenAI, stack: Stack) -> None:
    before = stack.query("SELECT count(*) FROM tasks_app_task")
    content = b"\n".join(
        [
            json.dumps(line("good")).encode(), b"", b"{", json.dumps(line("good")).encode(),
            json.dumps(line("hot", temperature=9)).encode(), json.dumps(line("gone", model="gpt-4o")).encode(),
            json.dumps(line("long", model="baton-chat", max_tokens=5000)).encode(),
            json.dumps(line("stream", stream=True)).encode(), json.dumps(line("url", url="/v1/completions")).encode(),
        ]
    )  # fmt: skip
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert batch.status == "failed"
    assert batch.failed_at
    assert batch.errors
    assert [(error.line, error.code, error.param) for error in batch.errors.data or []] == [
        (3, "invalid_json_line", None),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "invalid_request", "body.temperature"),
        (6, "model_not_found", "body.model"),
        (7, "invalid_request", "body.max_tokens"),
        (8, "invalid_request", "body.stream"),
        (9, "mismatched_endpoint", "url"),
    ]
    assert client.batches.retrieve(batch.id).status == "failed"
    assert stack.query("SELECT count(*) FROM tasks_app_task") == before
    with pytest.raises(openai.ConflictError):
        client.with_options(max_retries=0).batches.cancel(batch.id)


def test_a_cancelled_batch_keeps_what_was_done(client: OpenAI) -> None:
    quick, slow = [line(f"quick{n}") for n in range(3)], [line(f"slow{n}", simulate={"seconds": 50}) for n in range(6)]
    batch = submit(client, *quick, *slow)

    def quick_are_done() -> bool:
        counts = client.batches.retrieve(batch.id).request_counts
        return counts is not None and counts.completed == 3

    wait_until(quick_are_done, what="the quick ones to end")
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    ending = ended(client, batch.id)
    assert ending.status == "cancelled"
    assert ending.cancelled_at
    assert ending.cancelling_at
    assert set(lines_of(client, ending.output_file_id)) == {"quick0", "quick1", "quick2"}
    errors = lines_of(client, ending.error_file_id)
    assert set(errors) == {f"slow{number}" for number in range(6)}
    assert {row["error"]["code"] for row in errors.values()} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        client.with_options(max_retries=0).batches.cancel(batch.id)


def test_batches_are_listed_newest_first(client: OpenAI) -> None:
    made = [submit(client, line("a")).id for _ in range(3)]
    for batch_id in made:
        ended(client, batch_id)
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert [each for each in listed if each in made] == made[::-1]


def test_a_batch_names_a_file_that_must_be_there(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-0", endpoint=CHAT, completion_window="24h")
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(input_file_id="file-0", endpoint="/v1/embeddings", completion_window="24h")
    assert caught.value.param == "endpoint"


def test_nothing_of_another_organization_is_found(client: OpenAI, stack: Stack) -> None:
    batch = ended(client, submit(client, line("a")).id)
    key = "from tests.factories import *; print(make_key(make_organization('strangers')))"
    stack.manage("shell", "-v", "0", "-c", f"{key[:-1]}, file=open({str(stack.directory / 'key')!r}, 'w'))")
    stranger = OpenAI(base_url=client.base_url, api_key=(stack.directory / "key").read_text().strip())
    mine = [batch.input_file_id, str(batch.output_file_id)]
    for file_id in mine:
        for look in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(openai.NotFoundError):
                look(file_id)
    for act in (stranger.batches.retrieve, stranger.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            act(batch.id)
    with pytest.raises(openai.NotFoundError):
        stranger.batches.create(input_file_id=mine[0], endpoint=CHAT, completion_window="24h")
    assert list(stranger.files.list()) == list(stranger.batches.list()) == []
    artifact = mine[1].removeprefix("file-")
    answer = httpx.get(
        f"{stack.api.base_url}/artifacts/{artifact}", headers={"Authorization": f"Bearer {stranger.api_key}"}
    )
    assert answer.status_code == 404
