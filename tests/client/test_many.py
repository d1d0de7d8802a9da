"""The client on many tasks at once, against a running Baton."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from baton_client import AlreadyFinished, Batch, Client, InvalidInput, NotFound, TaskActive

from tests.client.test_tasks import NOBODY, PROMPT, simulated

pytestmark = pytest.mark.slow


def waiting(client: Client, count: int, **fields: object) -> Batch:
    """A batch whose tasks do not start for now."""
    later = datetime.now(UTC) + timedelta(hours=1)
    task = {"task_type": "llm", "input": PROMPT, **simulated(), "run_at": later, **fields}
    return client.submit_batch([task] * count)


def mixed(client: Client) -> Batch:
    """One that completed, between two that failed."""
    good, bad = ({"task_type": "llm", "input": PROMPT, "max_attempts": 1, **kind}
                 for kind in (simulated(), simulated(fail="error")))  # fmt: skip
    batch = client.submit_batch([bad, good, bad])
    client.wait_batch(batch.batch_id, timeout=60)
    return batch


def test_a_retried_batch_has_the_failures_alone_and_is_made_once(client: Client) -> None:
    batch = mixed(client)
    made = client.retry_batch(batch.batch_id)
    assert (made.retry_of, made.retried, made.skipped["not_failed"]) == (batch.batch_id, 2, 1)
    assert made.batch_id is not None
    client.wait_batch(made.batch_id, timeout=60)
    assert [task.retry_of for task in client.batch_results(made.batch_id)] == [*batch.task_ids[::2]]
    again = client.retry_batch(batch.batch_id)
    assert (again.batch_id, again.retried, again.skipped["already_retried"]) == (None, 0, 2)
    with pytest.raises(NotFound):
        client.retry_batch(NOBODY)


def test_the_results_of_a_batch_come_in_its_order_and_are_those_that_have_ended(client: Client, many: Batch) -> None:
    assert [task.task_id for task in client.batch_results(many.batch_id)] == list(many.task_ids)
    batch = waiting(client, 3)
    client.cancel(batch.task_ids[1])
    assert [task.task_id for task in client.batch_results(batch.batch_id)] == [batch.task_ids[1]]
    client.cancel_batch(batch.batch_id)
    with pytest.raises(NotFound):
        next(client.batch_results(NOBODY))


def test_a_task_that_waits_gets_another_priority(client: Client) -> None:
    batch = waiting(client, 1)
    [task_id] = batch.task_ids
    assert client.set_priority(task_id, 9).priority == client.get(task_id).priority == 9
    with pytest.raises(InvalidInput, match="10"):
        client.set_priority(task_id, 11)
    client.cancel(task_id)
    with pytest.raises(AlreadyFinished):
        client.set_priority(task_id, 1)
    running = client.submit("llm", PROMPT, **simulated(30))
    next(event for event in client.stream(running.task_id) if event.type == "task.started")
    with pytest.raises(TaskActive):
        client.set_priority(running.task_id, 1)
    client.cancel(running.task_id, wait=20)


def test_tasks_that_wait_are_moved_and_cancelled_together(client: Client) -> None:
    batch = waiting(client, 3, priority=4)
    ids = batch.task_ids
    assert client.bulk_priority(9, ids[:2], dry_run=True).changed == 2
    moved = client.bulk_priority(9, [*ids[:2], NOBODY])
    assert (moved.matched, moved.changed, moved.skipped["not_found"]) == (2, 2, 1)
    assert [client.get(task_id).priority for task_id in ids] == [9, 9, 4]
    assert client.bulk_priority(9, batch_id=batch.batch_id).skipped["unchanged"] == 2
    assert client.bulk_cancel(batch_id=batch.batch_id, status="pending").cancelled == 3


def test_tasks_that_have_ended_are_deleted_together_and_the_rest_is_left(client: Client) -> None:
    ended, waits = mixed(client), waiting(client, 1)
    ids = [*ended.task_ids, *waits.task_ids]
    assert client.bulk_delete(ids, dry_run=True).deleted == 3
    assert client.bulk_delete(batch_id=ended.batch_id, status=["failed"]).deleted == 2
    done = client.bulk_delete(ids)
    assert (done.matched, done.deleted, done.skipped["active"], done.skipped["not_found"]) == (2, 1, 1, 2)
    assert [task.task_id for task in client.list(batch_id=ended.batch_id)] == []
    client.cancel_batch(waits.batch_id)


def test_no_filter_means_no_task_unless_all_is_said(client: Client) -> None:
    for call in (client.bulk_cancel, client.bulk_retry, client.bulk_delete):
        with pytest.raises(InvalidInput):
            call()
        assert call(all=True, dry_run=True).dry_run
