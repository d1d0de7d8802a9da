"""The client on single tasks, against a running Baton."""

from __future__ import annotations

import pytest
from baton_client import (
    AlreadyFinished,
    Batch,
    Client,
    InvalidInput,
    ModelNotFound,
    NotFound,
    TaskActive,
    TaskFailed,
    Unauthenticated,
    WaitTimeout,
)

pytestmark = pytest.mark.slow
NOBODY = "00000000-0000-7000-8000-000000000000"
PROMPT = {"prompt": "Hello"}


def simulated(seconds: float = 0.05, **more: object) -> dict[str, object]:
    return {"model": "simulated", "parameters": {"simulate": {"seconds": seconds, "steps": 10, **more}}}


def test_run_submits_waits_and_gives_the_completed_task(client: Client) -> None:
    task = client.run("llm", PROMPT, **simulated(), priority=7, metadata={"order": "17"})
    assert (task.status, task.priority, task.metadata) == ("completed", 7, {"order": "17"})
    assert task.text
    assert task.has_ended
    assert task.created_at <= task.started_at <= task.completed_at
    assert task.raw["task_id"] == task.task_id


def test_run_raises_what_made_the_task_fail(client: Client) -> None:
    with pytest.raises(TaskFailed) as caught:
        client.run("llm", PROMPT, **simulated(fail="error"), max_attempts=1)
    assert caught.value.code == caught.value.task.error.code == "internal_error"


def test_waiting_ends_when_the_time_is_up_and_the_task_goes_on(client: Client) -> None:
    with pytest.raises(WaitTimeout) as caught:
        client.run("llm", PROMPT, **simulated(20), timeout=0.5)
    task = caught.value.last_seen
    assert not client.get(task.task_id).has_ended
    client.cancel(task.task_id)


def test_cancelling_tells_what_became_of_it(client: Client) -> None:
    task = client.submit("llm", PROMPT, **simulated(30))
    stopped = client.cancel(task.task_id, wait=20)
    assert stopped.status == "cancelled"
    assert stopped.cancellation.mode in ("dequeued", "cooperative", "killed")
    done = client.run("llm", PROMPT, **simulated())
    with pytest.raises(AlreadyFinished):
        client.cancel(done.task_id)


def test_retry_makes_a_new_task_of_one_that_has_ended(client: Client) -> None:
    first = client.run("llm", PROMPT, **simulated())
    again = client.wait(client.retry(first.task_id).task_id, timeout=60)
    assert (again.retry_of, again.status) == (first.task_id, "completed")


def test_a_submit_with_the_same_key_makes_one_task(client: Client) -> None:
    first = client.submit("llm", PROMPT, **simulated(), idempotency_key="client-test")
    assert client.submit("llm", PROMPT, **simulated(), idempotency_key="client-test").task_id == first.task_id
    assert client.submit("llm", PROMPT, **simulated()).task_id != first.task_id


def test_an_error_names_the_field_and_its_bound(client: Client) -> None:
    with pytest.raises(InvalidInput, match="150") as caught:
        client.submit("stable_diffusion", PROMPT, parameters={"num_inference_steps": 151})
    assert (caught.value.param, caught.value.status) == ("parameters.num_inference_steps", 400)
    assert caught.value.request_id


def test_each_code_has_its_own_class(client: Client, url: str) -> None:
    with pytest.raises(NotFound):
        client.get(NOBODY)
    with pytest.raises(NotFound):
        client.get("no/such?task")
    with pytest.raises(ModelNotFound):
        client.submit("llm", PROMPT, model="no-such-model")
    running = client.submit("llm", PROMPT, **simulated(30))
    with pytest.raises(TaskActive):
        client.delete(running.task_id)
    client.delete(running.task_id, force=True)
    with Client(url, "baton_aaaaaaaa_" + "x" * 43) as stranger, pytest.raises(Unauthenticated):
        stranger.models()


def test_the_list_goes_through_all_pages_newest_first(client: Client, many: Batch) -> None:
    found = [task.task_id for task in client.list(batch_id=many.batch_id)]
    assert found == list(reversed(many.task_ids))
    assert [task.task_id for task in client.list(batch_id=many.batch_id, limit=3)] == found[:3]
    assert [*client.list(batch_id=many.batch_id, status=["failed", "expired"])] == []


def test_it_explains_and_shows_the_attempts(client: Client) -> None:
    task = client.run("llm", PROMPT, **simulated())
    assert client.explain(task.task_id).reason
    [attempt] = client.attempts(task.task_id)
    assert (attempt.outcome, attempt.worker_id) == ("completed", task.worker_id)
