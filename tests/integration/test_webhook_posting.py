"""One exchange with a real receiver that behaves badly in every way we could think of, and a canary inside."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator

import pytest

from tasks_app import guard
from tasks_app.webhooks.posting import MAX_ANSWER, Message, post
from tests.receiver import Receiver, answer, drip_body, drip_head, flood, hang, receiving

TIMEOUT = 0.6  # seconds


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = True
    settings.WEBHOOK_TIMEOUT_SECONDS = TIMEOUT
    with receiving() as started:
        yield started


def send(url: str, body: bytes = b"{}"):
    return post(Message(url, {"webhook-id": "1"}, body))


def test_the_body_and_its_headers_arrive(receiver):
    answered = send(receiver.url("/ok?a=b"), b'{"a": 1}')
    assert answered.status == 204
    [got] = receiver.got
    assert (got.path, got.body, got.id) == ("/ok?a=b", b'{"a": 1}', "1")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.server.server_port}"


@pytest.mark.parametrize("status", [200, 404, 410, 500])
def test_the_status_is_told(receiver, status):
    receiver.answers["/x"] = answer(status)
    assert send(receiver.url("/x")).status == status


def test_what_the_receiver_asks_for_is_told(receiver):
    receiver.answers["/x"] = answer(429, Retry_After="7")
    assert send(receiver.url("/x")).retry_after == 7


def test_a_redirect_is_not_followed(receiver):
    with receiving() as canary:
        receiver.answers["/x"] = answer(307, Location=canary.url())
        assert send(receiver.url("/x")).status == 307
        assert canary.connections == 0


@pytest.mark.parametrize("how", [hang(5), drip_head], ids=["hangs", "drips its head"])
def test_a_receiver_that_does_not_answer_in_time_is_left(receiver, how):
    receiver.answers["/x"] = how
    begun = time.monotonic()
    answered = send(receiver.url("/x"))
    assert (answered.status, answered.problem) == (None, f"The receiver did not answer within {TIMEOUT} s.")
    assert time.monotonic() - begun < 2 * TIMEOUT


def test_a_body_that_drips_is_left_and_the_status_stands(receiver):
    receiver.answers["/x"] = drip_body
    begun = time.monotonic()
    assert send(receiver.url("/x")).status == 500
    assert time.monotonic() - begun < 2 * TIMEOUT


def test_of_a_gigabyte_little_is_read(receiver):
    sent: list[int] = []
    receiver.answers["/x"] = flood(sent)
    assert send(receiver.url("/x")).status == 200
    time.sleep(0.1)
    assert sent[0] < MAX_ANSWER + 8 * 2**20  # what the kernel's buffers took is not what we read


def test_a_receiver_that_does_not_read_is_left(settings):
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = True
    settings.WEBHOOK_TIMEOUT_SECONDS = TIMEOUT
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        answered = send(f"http://127.0.0.1:{deaf.getsockname()[1]}/", b"x" * 64 * 2**20)
    assert answered.problem.startswith("The receiver did not answer")


@pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b""])
def test_a_receiver_that_speaks_no_http_cannot_be_reached(receiver, garbage):
    receiver.answers["/x"] = _then_close(garbage)
    answered = send(receiver.url("/x"))
    assert answered.status is None
    assert answered.problem
    assert not answered.refused


def _then_close(garbage: bytes):
    def write(handler) -> None:
        handler.wfile.write(garbage)
        handler.close_connection = True

    return write


def test_a_closed_port_cannot_be_reached(receiver):
    answered = send("http://127.0.0.1:1/")
    assert (answered.status, answered.refused) == (None, False)
    assert answered.problem.startswith("The receiver cannot be reached")


# ---------------------------------------------------------------- addresses inside


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "user@127.0.0.1"]
)
def test_no_spelling_of_this_machine_gets_a_connection(receiver, settings, host):
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = False
    answered = send(receiver.url(host=host))
    assert (answered.status, answered.refused) == (None, True)
    assert receiver.connections == 0


def test_a_name_that_leads_inside_gets_no_connection(receiver, settings, monkeypatch):
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = False
    monkeypatch.setattr(guard, "resolve", lambda host, port: [ipaddress.ip_address("127.0.0.1")])
    answered = send(receiver.url(host="public.example"))
    assert answered.refused
    assert receiver.connections == 0


def test_a_name_that_is_resolved_to_another_address_the_second_time_is_resolved_once(receiver, settings, monkeypatch):
    """The checked address is the one connected to; the name still stands in the Host header."""
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = False
    with receiving("127.0.0.2") as canary:
        answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]])
        monkeypatch.setattr(guard, "resolve", lambda *_: [ipaddress.ip_address(each) for each in next(answers)])
        monkeypatch.setattr(guard, "is_public", lambda address: str(address) == "127.0.0.1")
        assert send(receiver.url(host="rebinding.example")).status == 204
        assert receiver.got[0].headers["host"].startswith("rebinding.example:")
        assert canary.connections == 0


def test_a_name_with_many_addresses_that_do_not_answer_takes_no_longer(settings, monkeypatch):
    settings.WEBHOOK_TIMEOUT_SECONDS = TIMEOUT
    monkeypatch.setattr(guard, "is_public", lambda address: True)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        monkeypatch.setattr(guard, "resolve", lambda *_: [ipaddress.ip_address("127.0.0.1")] * 20)
        begun = time.monotonic()
        assert send(f"http://many.example:{port}/").status is None
        assert time.monotonic() - begun < 3 * TIMEOUT
        for each in fillers:
            each.close()
