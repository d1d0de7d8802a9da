"""What the client does when the connection is lost or the server cannot answer now."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from baton_client import (
    Artifact,
    AsyncClient,
    Client,
    DamagedFile,
    InvalidInput,
    NotFound,
    QueueFull,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

from tests.client.scripted import CUT, TASK, Answer, Scripted, refusal

KEY = "baton_aaaaaaaa_" + "x" * 43


def client_of(server: Scripted, **options: float) -> Client:
    return Client(server.url, KEY, **options)


def test_a_submit_whose_answer_was_lost_is_sent_again_with_the_same_key() -> None:
    with Scripted(CUT, CUT, Answer(201)) as server, client_of(server) as client:
        task = client.submit("llm", {"prompt": "x"})
    assert task.text == "Hi."
    keys = {asked.headers["Idempotency-Key"] for asked in server.asked}
    assert (len(server.asked), len(keys)) == (3, 1)
    assert len({asked.body for asked in server.asked}) == 1


def test_two_submits_have_two_keys() -> None:
    with Scripted(Answer(201)) as server, client_of(server) as client:
        client.submit("llm", {"prompt": "x"})
        client.submit("llm", {"prompt": "x"})
        client.retry("id")
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_is_busy_is_asked_again_when_it_said(form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    busy = refusal(429, "queue_full", Retry_After="1" if form == "seconds" else date)
    with Scripted(busy, refusal(503, "database_unavailable"), Answer()) as server, client_of(server) as client:
        begun = time.monotonic()
        assert client.get("id").status == "completed"
    assert len(server.asked) == 3
    assert time.monotonic() - begun >= 1


def test_a_wait_that_is_longer_than_the_patience_is_not_waited_for() -> None:
    busy = refusal(429, "queue_full", Retry_After="3600")
    with Scripted(busy) as server, client_of(server) as client, pytest.raises(QueueFull) as caught:
        client.submit("llm", {"prompt": "x"})
    assert caught.value.retry_after == 3600
    assert len(server.asked) == 1


def test_patience_has_an_end() -> None:
    with Scripted(refusal(503, "database_unavailable")) as server, client_of(server, patience=1) as client:
        with pytest.raises(Unavailable):
            client.get("id")
        assert len(server.asked) >= 2
    with pytest.raises(Unreachable, match=server.url), client_of(server, patience=0.5) as client:
        client.get("id")


def test_what_is_wrong_is_not_sent_again() -> None:
    with Scripted(refusal(400, "invalid_input")) as server, client_of(server) as client, pytest.raises(InvalidInput):
        client.submit("llm", {})
    assert len(server.asked) == 1


def test_a_code_that_is_not_known_here_is_told_by_its_status() -> None:
    with Scripted(refusal(404, "a_code_of_tomorrow")) as server, client_of(server) as client:
        with pytest.raises(NotFound) as caught:
            client.get("id")
        assert caught.value.code == "a_code_of_tomorrow"


def test_a_proxy_that_is_in_the_way_is_waited_for_and_then_told() -> None:
    page = Answer(502, b"<html>Bad Gateway</html>")
    with Scripted(page, Answer()) as server, client_of(server) as client:
        assert client.get("id").task_id == TASK["task_id"]
    with Scripted(page) as server, client_of(server, patience=0.3) as client, pytest.raises(Unavailable, match="502"):
        client.get("id")
    with Scripted(Answer(200, b"<html>")) as server, client_of(server) as client, pytest.raises(UnexpectedAnswer):
        client.get("id")


def test_a_delete_whose_answer_was_lost_had_worked() -> None:
    gone = refusal(404, "not_found")
    with Scripted(CUT, gone) as server, client_of(server) as client:
        client.delete("id")
    with Scripted(gone) as server, client_of(server) as client, pytest.raises(NotFound):
        client.delete("id")


def artifact_of(content: bytes) -> Artifact:
    return Artifact("a1", "image/png", len(content), hashlib.sha256(content).hexdigest(), "/artifacts/a1")


def test_a_download_that_was_cut_begins_again_and_leaves_no_half_file(tmp_path: Path) -> None:
    content = b"x" * 100_000
    half = Answer(200, content[:50_000], {"Content-Length": str(len(content))}, cut=True)
    with Scripted(half, Answer(200, content)) as server, client_of(server) as client:
        path = client.download(artifact_of(content), tmp_path / "file.png")
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["file.png"]


def test_a_damaged_download_is_refused_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(b"before")
    tag = {"ETag": f'"{hashlib.sha256(b"right").hexdigest()}"'}
    with Scripted(Answer(200, b"wrong", tag)) as server, client_of(server) as client:
        with pytest.raises(DamagedFile):
            client.download(artifact_of(b"right"), path)
        with pytest.raises(DamagedFile):
            client.download("artifact://a1", path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["file.png"]
    assert server.asked[-1].path == "/artifacts/a1"


def frames(*events: tuple[str, str, dict[str, object]]) -> bytes:
    bodies = [
        (place, {"id": place, "seq": int(float(place)), "type": kind, "data": data}) for place, kind, data in events
    ]
    return b"".join(b"id: %b\ndata: %b\n\n" % (place.encode(), json.dumps(body).encode()) for place, body in bodies)


CREATED, DELTA = ("1", "task.created", {}), ("3.1", "task.output.delta", {"text": "Hi.", "offset": 0})
LAST = ("4", "task.completed", dict(TASK))


def stream_of(*answers: bytes) -> Scripted:
    headers = {"Content-Type": "text/event-stream"}
    return Scripted(*(Answer(200, body, headers | {"Content-Length": "100000"}, cut=True) for body in answers))


def test_a_stream_that_was_cut_goes_on_behind_the_last_event_that_was_seen() -> None:
    half = frames(LAST)[:40]
    answers = [frames(CREATED), frames(DELTA) + half, b": comment\n\n", frames(LAST)]
    with stream_of(*answers) as server, client_of(server) as client:
        seen = list(client.stream("id"))
    assert [event.id for event in seen] == ["1", "3.1", "4"]
    assert "".join(event.text for event in seen) == "Hi."
    assert seen[-1].task.text == "Hi."
    assert [asked.headers.get("Last-Event-ID") for asked in server.asked] == [None, "1", "3.1", "3.1"]


def test_a_proxy_that_cuts_every_stream_after_a_while_wears_no_patience_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baton_client.events.LASTED", 0.2)
    headers = {"Content-Type": "text/event-stream", "Content-Length": "100000"}
    silent = [Answer(200, b": nothing new\n\n", headers, cut=True, late=0.4)] * 4
    with Scripted(*silent, Answer(200, frames(LAST), headers)) as server, client_of(server, patience=0.5) as client:
        assert [event.id for event in client.stream("id")] == ["4"]
    with Scripted(CUT) as server, client_of(server, patience=0.5) as client, pytest.raises(Unreachable):
        list(client.stream("id"))


def test_the_async_client_keeps_the_same_promises(tmp_path: Path) -> None:
    content = b"x" * 1000

    async def all_of_it() -> None:
        with Scripted(CUT, refusal(429, "queue_full", Retry_After="0"), Answer(201)) as server:
            async with AsyncClient(server.url, KEY) as client:
                assert (await client.submit("llm", {"prompt": "x"})).text == "Hi."
            assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
        with stream_of(frames(CREATED), frames(DELTA, LAST)) as server:
            async with AsyncClient(server.url, KEY) as client:
                assert [event.id async for event in client.stream("id")] == ["1", "3.1", "4"]
            assert server.asked[1].headers["Last-Event-ID"] == "1"
        half = Answer(200, content[:500], {"Content-Length": "1000"}, cut=True)
        with Scripted(half, Answer(200, content)) as server:
            async with AsyncClient(server.url, KEY) as client:
                assert (await client.download(artifact_of(content), tmp_path / "f")).read_bytes() == content

    asyncio.run(all_of_it())


def test_a_server_that_tells_no_usage_is_told_in_so_many_words() -> None:
    missing = pytest.raises(NotFound, match="does not tell usage")
    with Scripted(refusal(404, "not_found")) as server, client_of(server) as client, missing:
        client.usage()


def lines(*names: str) -> bytes:
    return b"".join(json.dumps(TASK | {"task_id": name}).encode() + b"\n" for name in names)


def results_of(*answers: bytes) -> Scripted:
    """All but the last are cut, and look as if more was to come."""
    *cut, whole = answers
    endless = {"Content-Length": "100000"}
    return Scripted(*(Answer(200, body, endless, cut=True) for body in cut), Answer(200, whole))


def test_results_that_were_cut_are_asked_for_again_and_come_once() -> None:
    half = lines("b")[:40]
    with results_of(lines("a") + half, lines("a", "b"), lines("a", "b", "c")) as server, client_of(server) as client:
        assert [task.task_id for task in client.batch_results("id")] == ["a", "b", "c"]
    assert {asked.path for asked in server.asked} == {"/tasks/batch/id/results"}
    assert len(server.asked) == 3
    with Scripted(Answer(200, lines("a") + half)) as server, client_of(server, patience=0.5) as client:
        with pytest.raises(Unreachable, match="middle of a line"):
            list(client.batch_results("id"))
        assert len(server.asked) >= 2
    with Scripted(Answer(200, b"<html>\n")) as server, client_of(server) as client, pytest.raises(UnexpectedAnswer):
        list(client.batch_results("id"))


def test_a_result_is_given_before_the_next_one_has_come() -> None:
    first = Answer(200, lines("a"), {"Content-Length": "100000"}, cut=True, late=10)
    with Scripted(first) as server, client_of(server) as client:
        results = client.batch_results("id")
        assert next(results).task_id == "a"
        results.close()
        assert len(server.asked) == 1


def test_the_async_client_reads_results_as_patiently() -> None:
    async def read() -> list[str]:
        async with AsyncClient(server.url, KEY) as client:
            return [task.task_id async for task in client.batch_results("id")]

    with results_of(lines("a") + lines("b")[:40], lines("a", "b")) as server:
        assert asyncio.run(read()) == ["a", "b"]
