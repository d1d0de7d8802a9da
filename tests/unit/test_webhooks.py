"""What follows from a receiver's answer, what a signature is, and which addresses are refused by their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tasks_app.models import DeliveryState
from tasks_app.webhooks import signing
from tasks_app.webhooks.posting import seconds_of
from tasks_app.webhooks.signing import Secret
from tasks_app.webhooks.target import problem_with
from tasks_app.webhooks.verdicts import DELAYS, LONGEST_DELAY, Answer, verdict_on

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    assert verdict_on(Answer(status), 1).state == DELIVERED


@pytest.mark.parametrize("answer", [Answer(problem="no route"), Answer(408), Answer(429), Answer(500), Answer(599)])
def test_what_may_pass_is_tried_nine_times_at_growing_distances(answer: Answer) -> None:
    verdicts = [verdict_on(answer, tries) for tries in range(1, 10)]
    assert [verdict.state for verdict in verdicts] == [PENDING] * 8 + [FAILED]
    assert [verdict.delay for verdict in verdicts[:8]] == [5, 30, 120, 600, 1800, 7200, 21_600, 43_200]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 409, 410, 418, 422])
def test_what_will_not_pass_fails_at_once(status: int) -> None:
    assert verdict_on(Answer(status), 1).state == FAILED


def test_only_410_says_that_the_endpoint_is_gone() -> None:
    assert verdict_on(Answer(410), 1).gone
    assert not verdict_on(Answer(404), 1).gone


def test_an_address_that_is_refused_is_not_tried_again() -> None:
    assert verdict_on(Answer(problem="private", refused=True), 1).state == FAILED


@pytest.mark.parametrize(
    ("status", "asked", "delay"),
    [(429, 60, 60), (503, 60, 60), (500, 60, 5), (429, 1, 5), (429, 10**9, LONGEST_DELAY), (503, None, 5)],
)
def test_a_receiver_may_ask_for_more_time_within_bounds(status: int, asked: float | None, delay: float) -> None:
    assert verdict_on(Answer(status, retry_after=asked), 1).delay == delay


def test_the_factor_stretches_the_schedule_and_not_what_was_asked_for() -> None:
    assert verdict_on(Answer(503), 1, factor=0.1).delay == DELAYS[0] / 10
    assert verdict_on(Answer(503, retry_after=3), 1, factor=0.1).delay == 3


@pytest.mark.parametrize(("header", "seconds"), [("", None), ("soon", None), ("-1", None), ("0", 0), ("120", 120)])
def test_retry_after_is_read_as_seconds(header: str, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    date = datetime.now(UTC) + timedelta(seconds=100)
    assert seconds_of(format_datetime(date, usegmt=True)) == pytest.approx(100, abs=2)
    assert seconds_of("Mon, 01 Jan 2001 00:00:00 GMT") == 0


def test_a_message_is_signed_with_both_secrets_and_either_verifies_it() -> None:
    now = datetime.now(UTC)
    secrets = [Secret(signing._derived(uuid4()), now, None) for _ in range(2)]
    headers = signing.headers(uuid4(), '{"é": 1}'.encode(), secrets, now)
    for secret in secrets:
        assert Webhook(secret.text).verify('{"é": 1}', headers) == {"é": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing._derived(uuid4())).verify('{"é": 1}', headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[0].text).verify('{"é": 2}', headers)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook", "http://example.com:8080/", "https://intranet/", "http://1.1.1.1/", "http://[2606:4700::1]/"],
)  # fmt: skip
def test_addresses_that_may_be_public_are_taken(url: str) -> None:
    assert problem_with(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost.", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
        "10.0.0.1", "169.254.169.254", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[64:ff9b::a00:1]", "[fe80::1%25eth0]", "[fd00:ec2::254]", "192.168.1.1.",
    ],
)  # fmt: skip
def test_every_spelling_of_an_address_inside_is_refused_unless_it_is_allowed(host: str, settings) -> None:
    assert problem_with(f"http://{host}:8000/x") == "must not lead to a private address"
    settings.ALLOW_PRIVATE_WEBHOOK_HOSTS = True
    assert problem_with(f"http://{host}:8000/x") is None


@pytest.mark.parametrize(
    "url", ["http://user@example.com/", "https://user:secret@example.com/", "http://@example.com/"]
)
def test_a_user_or_password_in_the_address_is_refused(url: str) -> None:
    assert problem_with(url) == "must not hold a user name or password"
