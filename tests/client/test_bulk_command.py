"""`baton bulk …`, `baton priority` and `baton batch retry`, against a running Baton."""

from __future__ import annotations

import pytest
from baton_client import Client

from tests.client.program import Command, Program
from tests.client.terminal import Terminal
from tests.client.test_many import mixed, waiting

pytestmark = pytest.mark.slow


def test_a_dry_run_counts_and_does_nothing(baton: Command, client: Client) -> None:
    batch = waiting(client, 3)
    told = baton("bulk", "cancel", "-b", batch.batch_id, "-s", "pending", "--dry-run").stdout
    assert told == "Would be: 3 cancelled, 0 being stopped\n"
    told = baton("bulk", "delete", "-b", batch.batch_id, "--dry-run").stdout
    assert told == "Would be: 0 deleted; skipped: 3 active\n"
    assert client.batch(batch.batch_id).counts["pending"] == 3
    client.cancel_batch(batch.batch_id)


def test_with_yes_nobody_is_asked(baton: Command, client: Client) -> None:
    batch = waiting(client, 3)
    moved = baton("bulk", "priority", "9", "--batch", batch.batch_id, "--yes")
    assert (moved.stdout, moved.stderr) == ("3 moved\n", "")
    assert {task.priority for task in client.list(batch_id=batch.batch_id)} == {9}
    first, *_ = batch.task_ids
    assert baton("bulk", "cancel", first, "-y").stdout == "1 cancelled, 0 being stopped\n"
    assert baton.json("bulk", "cancel", "-b", batch.batch_id, "-y")["skipped"]["already_cancelled"] == 1
    assert "3 deleted" in baton("bulk", "delete", "-b", batch.batch_id, "--before", "0s", "-y").stdout


def test_without_yes_it_is_done_only_where_somebody_says_so(baton: Command, process: Program, client: Client) -> None:
    batch = waiting(client, 2)
    command = ("bulk", "cancel", "--batch", batch.batch_id)
    assert "--yes" in baton(*command, stdin="y\n", status=2).stderr
    for answer, status in (("", 1), ("y", 0)):
        terminal = Terminal(process, *command)
        terminal.read(r"Cancel 2 tasks\? \[y/N\] ")
        assert client.batch(batch.batch_id).counts["pending"] == 2
        terminal.type(answer + "\n")
        assert terminal.end() == status, terminal.text
    assert client.batch(batch.batch_id).counts["cancelled"] == 2


def test_failures_are_tried_again_by_batch_and_by_their_code(baton: Command, client: Client) -> None:
    batch = mixed(client)
    told = baton("bulk", "retry", "-b", batch.batch_id, "--error", "internal_error", "--dry-run").stdout
    assert told == "Would be: 2 retried\n"
    again = baton("batch", "retry", batch.batch_id).stdout.strip()
    assert client.batch(again).total == 2
    done = baton("batch", "retry", batch.batch_id, status=1)
    assert (done.stdout, "retried before" in done.stderr) == ("", True)
    assert baton("bulk", "retry", "-b", batch.batch_id, "-y").stdout == "0 retried; skipped: 2 already retried\n"
    client.wait_batch(again, timeout=60)
    assert baton("bulk", "retry", "-b", again, "--since", "1h", "-y").stdout == "2 retried\n"


def test_one_task_gets_another_priority(baton: Command, client: Client) -> None:
    [task_id] = waiting(client, 1).task_ids
    assert baton("priority", task_id, "9").stdout == f"{task_id}  priority 9\n"
    assert baton.json("priority", task_id, "2")["priority"] == 2
    assert "10" in baton("priority", task_id, "11", status=2).stderr
    client.cancel(task_id)
    assert "cancelled" in baton("priority", task_id, "1", status=1).stderr


@pytest.mark.parametrize("said", [(), ("--all", "-s", "failed"), ("an-id", "-s", "failed")])
def test_it_must_be_said_just_once_which_tasks_are_meant(baton: Command, said: tuple[str, ...]) -> None:
    assert "ids, or a filter, or --all" in baton("bulk", "delete", *said, "--yes", status=2).stderr
