"""Sending, tidying and readiness on a real RabbitMQ, over TLS too, when it is well, blocked, frozen and dead."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery import current_app
from celery.utils.nodenames import worker_direct

from orchestrator import broker, health
from tasks_app import dispatch
from tests import tls
from tests.rabbitmq import PASSWORD, RabbitMQ, free_port, needs_rabbitmq

pytestmark = [needs_rabbitmq, pytest.mark.slow]
HOST = "w1@test"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> broker.TlsFiles:
    return tls.make_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(files: broker.TlsFiles, tls_port: int) -> Iterator[RabbitMQ]:
    more = f"""
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {files.authority}
ssl_options.certfile = {files.certificate}
ssl_options.keyfile = {files.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""
    node = RabbitMQ(more)
    try:
        yield node.start()
    finally:
        node.stop()


@pytest.fixture
def app(node: RabbitMQ, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[celery.Celery]:
    """Celery's current application and our settings, on this node."""
    ours = celery.current_app._get_current_object()
    monkeypatch.setenv("CELERY_BROKER_URL", node.url)
    settings.CELERY_BROKER_URL = node.url
    app = celery.Celery("on-rabbitmq", set_as_current=True)
    app.conf.broker_transport_options = broker.transport_options(node.url)
    yield app
    app.close()
    ours.set_current()


def send(count: int = 1) -> int:
    return dispatch.send([dispatch.Message(uuid.uuid4(), uuid.uuid4(), "llm", HOST) for _ in range(count)])


def queues(node: RabbitMQ) -> dict[str, int]:
    lines = node.ctl("list_queues", "--no-table-headers", "name", "messages").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


def test_a_message_reaches_the_queue_of_its_worker_and_goes_with_it(app, node):
    assert dispatch.discard_queue(HOST)  # what another test left
    assert send(3) == 3
    assert queues(node) == {f"{HOST}.dq2": 3}
    assert dispatch.discard_queue(HOST)
    assert queues(node) == {}
    assert dispatch.discard_queue(HOST)  # and once more, where there is none


def test_the_queue_of_a_worker_that_reads_from_it_is_not_discarded(app, node):
    send()
    with current_app.connection_for_write() as reader, reader.Consumer([worker_direct(HOST)], callbacks=[]):
        assert not dispatch.discard_queue(HOST)
    dispatch.discard_queue(HOST)


def test_a_blocked_broker_refuses_within_its_time_and_takes_messages_again(app, node):
    assert send() == 1
    node.raise_alarm()
    try:
        assert send(2) == 0
        assert health.ask_broker()["broker"] == health.Verdict(
            False, "accepts no messages: frozen, or blocked by its memory or disk alarm"
        )
    finally:
        node.clear_alarm()
    assert send(2) == 2
    assert health.ask_broker()["broker"] == health.Verdict(True, "answers, takes messages")


def test_a_frozen_broker_holds_nobody_up_and_takes_messages_again(app, node):
    assert send() == 1
    node.freeze()
    try:
        assert send(2) == 0
        assert not health.ask_broker()["broker"].ok
    finally:
        node.thaw()
    assert send(2) == 2


def test_a_restarted_broker_gets_messages_again(app, node):
    assert send() == 1
    node.kill()
    assert send() == 0
    assert not health.ask_broker()["broker"].ok
    node.start()
    assert send() == 1


def test_a_wrong_password_is_told_and_never_shown(app, node, settings):
    settings.CELERY_BROKER_URL = node.url.replace(PASSWORD, "an0ther-s3cret")
    verdict = health.ask_broker()["broker"]
    assert not verdict.ok
    assert "s3cret" not in verdict.detail


def test_tls_needs_the_authority_and_the_clients_certificate(node, files, tls_port, settings):
    settings.CELERY_BROKER_URL = node.url.replace("amqp://", "amqps://").replace(str(node.port), str(tls_port))
    settings.BROKER_TLS = files
    assert health.ask_broker()["broker"] == health.Verdict(True, "answers, takes messages")
    settings.BROKER_TLS = broker.TlsFiles(files.authority)
    assert not health.ask_broker()["broker"].ok
    settings.BROKER_TLS = broker.TlsFiles()
    assert "certificate verify failed" in health.ask_broker()["broker"].detail


def test_tls_sends_messages_too(app, node, files, tls_port, monkeypatch):
    url = node.url.replace("amqp://", "amqps://").replace(str(node.port), str(tls_port))
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    app.conf.broker_use_ssl = broker.celery_tls(url, files)
    assert send() == 1
