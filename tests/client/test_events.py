"""From the bytes of a stream to events."""

from __future__ import annotations

import json

import pytest
from baton_client import Event, Unauthenticated, UnexpectedAnswer
from baton_client.events import Parser
from hypothesis import given
from hypothesis import strategies as st


def parsed(*chunks: bytes) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def frame(text: str, end: bytes = b"\n") -> bytes:
    body = {"id": "3.1", "seq": 3, "type": "task.output.delta", "task_id": "t", "data": {"text": text}}
    lines = (
        b": a comment",
        b"id: 3.1",
        b"event: task.output.delta",
        b"data: " + json.dumps(body, ensure_ascii=False).encode(),
    )
    return end.join((*lines, b"", b""))


@given(st.lists(st.text(max_size=20), max_size=4), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 9))
def test_events_come_out_whole_however_the_bytes_were_cut(texts: list[str], end: bytes, size: int) -> None:
    stream = b"retry: 2000" + end * 2 + b"".join(frame(text, end) for text in texts) + b":" + end
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    events = parsed(*chunks)
    assert [event.data["text"] for event in events] == texts
    assert all((event.id, event.seq, event.task_id) == ("3.1", 3, "t") for event in events)


def test_line_ends_that_only_unicode_knows_do_not_end_a_line() -> None:
    assert [event.text for event in parsed(frame("a\u2028b\u0085c\x0cd"))] == ["a\u2028b\u0085c\x0cd"]


def test_an_event_of_tomorrow_is_passed_on() -> None:
    [event] = parsed(b'event: gap\ndata: {"missed": 7}\n\n')
    assert (event.type, event.data, event.text, event.is_last) == ("gap", {"missed": 7}, "", False)


def test_a_stream_that_is_none_of_batons_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer):
        parsed(b"data: hello\n\n")
    with pytest.raises(UnexpectedAnswer):
        parsed(b"data: [1]\n\n")
    with pytest.raises(Unauthenticated):
        parsed(b'event: closed\ndata: {"code":"unauthenticated"}\n\n')
