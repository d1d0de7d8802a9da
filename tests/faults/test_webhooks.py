"""Webhooks with real processes: the sender is killed, receivers misbehave, and each delivery arrives with one id."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.faults.stack import Stack, wait_until
from tests.receiver import Receiver, answer, drip_body, drip_head, flood, hang, receiving

pytestmark = pytest.mark.faults
# a tenth of the time-out; tries after 0.1 s, 0.6 s, 2.4 s, …
QUICK = {"WEBHOOK_TIMEOUT_SECONDS": "1", "WEBHOOK_RETRY_FACTOR": "0.02"}


@pytest.fixture
def receiver(stack: Stack) -> Iterator[Receiver]:
    """No later sender may find deliveries to this one: it would try those first, or meet another there."""
    with receiving() as started:
        yield started
    stack.kill_guests()
    stack.query(
        "UPDATE tasks_app_webhookdelivery SET state = 'failed', ended_at = now() WHERE state = 'pending' RETURNING 1"
    )


def ended(stack: Stack, url: str) -> str:
    """A task that has completed and whose webhook is to be sent there."""
    task = stack.submit(simulate={"seconds": 0}, webhook_url=url)
    stack.wait_for(task, "completed")
    return task


def delivery(stack: Stack, task: str) -> dict[str, Any]:
    [row] = stack.api.get("/webhooks/", params={"task_id": task}).json()["results"]
    return dict(row)


def settled(stack: Stack, task: str, state: str, seconds: float = 20) -> dict[str, Any]:
    wait_until(lambda: delivery(stack, task)["state"] == state, seconds, f"the webhook of {task} to be {state}")
    return delivery(stack, task)


def test_a_receiver_can_verify_what_it_gets(stack: Stack, receiver: Receiver) -> None:
    stack.start_webhooks(**QUICK)
    task = ended(stack, receiver.url())
    row = settled(stack, task, "delivered")
    [got] = receiver.got
    [secret] = stack.api.get("/webhooks/secret").json()["results"]
    told = Webhook(secret["secret"]).verify(got.body, got.headers)
    assert (told["type"], told["task_id"], got.id) == ("task.completed", task, row["delivery_id"])
    assert told["data"] == stack.get(task)


def test_a_sender_killed_right_after_its_post_sends_again_with_the_same_id(stack: Stack, receiver: Receiver) -> None:
    # On a busy machine a second is too short for the one exchange that must not be given up.
    stack.start_webhooks(CRASH_AT="webhook.after_post", **QUICK | {"WEBHOOK_TIMEOUT_SECONDS": "3"})
    task = ended(stack, receiver.url())
    wait_until(lambda: stack.died("webhooks"), what="the sender to die")
    assert (len(receiver.got), delivery(stack, task)["state"]) == (1, "pending")
    stack.start_webhooks(**QUICK)
    assert settled(stack, task, "delivered")["tries"] == 2
    first, second = receiver.got
    assert first.id == second.id == delivery(stack, task)["delivery_id"]
    assert first.body == second.body


def test_a_receiver_that_fails_gets_it_again_until_it_takes_it(stack: Stack, receiver: Receiver) -> None:
    answers = iter([500, 408, 502, 204])
    receiver.answers["/x"] = lambda handler: answer(next(answers))(handler)
    stack.start_webhooks(**QUICK)
    task = ended(stack, receiver.url("/x"))
    assert settled(stack, task, "delivered")["tries"] == 4
    assert len({got.id for got in receiver.got}) == 1
    gaps = [later.at - earlier.at for earlier, later in zip(receiver.got, receiver.got[1:], strict=False)]
    assert all(gap >= least for gap, least in zip(gaps, (0.1, 0.6, 2.4), strict=True))


def test_a_receiver_may_ask_for_time(stack: Stack, receiver: Receiver) -> None:
    answers = iter([answer(429, Retry_After="2"), answer(204)])
    receiver.answers["/x"] = lambda handler: next(answers)(handler)
    stack.start_webhooks(**QUICK)
    settled(stack, ended(stack, receiver.url("/x")), "delivered")
    first, second = receiver.got
    assert second.at - first.at >= 2


@pytest.mark.parametrize("how", [hang(8), drip_head, drip_body], ids=["hangs", "drips its head", "drips its body"])
def test_a_receiver_that_takes_for_ever_is_left_and_tried_again(stack: Stack, receiver: Receiver, how: Any) -> None:
    receiver.answers["/x"] = how
    stack.start_webhooks(**QUICK)
    task = ended(stack, receiver.url("/x"))
    wait_until(lambda: len(receiver.got) == 2, 10, "a second try")
    receiver.answers["/x"] = answer(204)
    assert settled(stack, task, "delivered")["tries"] >= 3


def test_a_gigabyte_of_an_answer_is_not_read(stack: Stack, receiver: Receiver) -> None:
    sent: list[int] = []
    receiver.answers["/x"] = flood(sent)
    stack.start_webhooks(**QUICK)
    assert settled(stack, ended(stack, receiver.url("/x")), "delivered")["last_status"] == 200
    assert sent[0] < 16 * 2**20


def test_a_redirect_to_inside_is_a_failure_and_is_not_followed(stack: Stack, receiver: Receiver) -> None:
    with receiving() as canary:
        receiver.answers["/x"] = answer(302, Location=canary.url())
        stack.start_webhooks(**QUICK)
        row = settled(stack, ended(stack, receiver.url("/x")), "failed")
        assert (row["tries"], row["last_status"], canary.connections) == (1, 302, 0)


def test_410_ends_all_sending_there_until_it_is_sent_again_by_hand(stack: Stack, receiver: Receiver) -> None:
    receiver.answers["/x"] = answer(410)
    stack.start_webhooks(**QUICK)
    first = settled(stack, ended(stack, receiver.url("/x")), "failed")
    second = settled(stack, ended(stack, receiver.url("/x")), "failed")
    assert (first["last_status"], second["last_status"], len(receiver.got)) == (410, None, 1)
    receiver.answers["/x"] = answer(204)
    assert stack.api.post(f"/webhooks/{second['delivery_id']}/resend").status_code == 202
    settled(stack, second["task_id"], "delivered")
    assert [got.id for got in receiver.got] == [first["delivery_id"], second["delivery_id"]]
    settled(stack, ended(stack, receiver.url("/x")), "delivered")


def test_a_slow_receiver_makes_no_other_wait(stack: Stack, receiver: Receiver) -> None:
    receiver.answers["/x"] = hang(1.5)
    stack.start_webhooks(**QUICK | {"WEBHOOK_TIMEOUT_SECONDS": "2"})
    slow = [ended(stack, receiver.url("/x")) for _ in range(20)]
    with receiving() as quick:
        task = ended(stack, quick.url())
        settled(stack, task, "delivered")
        assert len(receiver.got) < len(slow)  # most of them were waiting still
    stack.kill("webhooks")


def test_no_delivery_is_lost_whichever_sender_is_killed(stack: Stack, receiver: Receiver) -> None:
    for name in ("webhooks", "webhooks-2"):
        stack.start_webhooks(name, **QUICK)
    tasks = []
    for number in range(30):
        tasks.append(stack.submit(simulate={"seconds": 0}, webhook_url=receiver.url()))
        if number in (10, 20):
            stack.kill("webhooks")
            stack.start_webhooks(**QUICK)
    rows = [settled(stack, task, "delivered") for task in tasks]
    assert {row["delivery_id"] for row in rows} == {got.id for got in receiver.got}


def test_what_is_inside_gets_no_connection(stack: Stack, receiver: Receiver) -> None:
    """The address was taken when it was allowed; what counts is the moment of the connection."""
    stack.start_webhooks(ALLOW_PRIVATE_WEBHOOK_HOSTS="false", **QUICK)
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
        row = settled(stack, ended(stack, receiver.url(host=host)), "failed")
        assert (row["tries"], row["last_status"]) == (1, None)
        assert "private" in row["last_error"]
    assert receiver.connections == 0


def test_a_cancel_that_races_the_end_sends_one_webhook_that_agrees_with_the_answer(
    stack: Stack, receiver: Receiver
) -> None:
    stack.start_webhooks(**QUICK)
    tasks = [stack.submit(simulate={"seconds": 0}, webhook_url=receiver.url()) for _ in range(20)]
    for task in tasks:
        stack.api.patch(f"/tasks/{task}/cancel")
    for task in tasks:
        settled(stack, task, "delivered")
    told = {got.headers["webhook-id"]: got.body for got in receiver.got}
    assert len(told) == len(tasks)
    for task in tasks:
        assert f'"type":"task.{stack.get(task)["status"]}"'.encode() in told[delivery(stack, task)["delivery_id"]]


def test_a_stopping_sender_notes_what_is_under_way(stack: Stack, receiver: Receiver) -> None:
    receiver.answers["/x"] = lambda handler: (hang(0.5)(handler), answer(204)(handler))
    stack.start_webhooks(**QUICK)
    task = ended(stack, receiver.url("/x"))
    wait_until(lambda: receiver.got, what="the exchange")
    stack.processes["webhooks"].send_signal(signal.SIGTERM)
    assert stack.processes["webhooks"].wait(10) == 0
    assert delivery(stack, task)["state"] == "delivered"
    assert len(receiver.got) == 1
