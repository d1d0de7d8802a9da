"""Tokens become text: never half a character, never the beginning of a stop string, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.runners.text_stream import TextStream


def decode_bytes(tokens: list[int]) -> str:
    """One token a byte, as in a byte-level vocabulary at its worst."""
    return bytes(tokens).decode("utf-8", errors="replace")


def stream(text: str, stop: tuple[str, ...] = ()) -> tuple[list[str], TextStream]:
    subject = TextStream(decode_bytes, stop)
    shown = []
    for token in text.encode():
        shown.append(subject.push(token))
        if subject.stopped:
            break
    shown.append(subject.end())
    return shown, subject


@given(st.text(st.characters(exclude_characters="\ufffd", exclude_categories=["Cs"])))
def test_the_pieces_make_up_the_text_and_each_is_whole(text: str) -> None:
    shown, subject = stream(text)
    assert "".join(shown) == text == subject.text
    assert not any("\ufffd" in piece for piece in shown)


def test_a_character_of_four_bytes_appears_with_its_last_byte() -> None:
    shown, _ = stream("a🦊b")
    assert shown == ["a", "", "", "", "🦊", "b", ""]


def test_half_a_character_at_the_very_end_is_dropped() -> None:
    subject = TextStream(decode_bytes)
    shown = [subject.push(token) for token in "ok🦊".encode()[:-1]]
    assert "".join(shown) + subject.end() == "ok" == subject.text


def test_the_text_ends_before_a_stop_string() -> None:
    shown, subject = stream("one two END three", stop=("END",))
    assert subject.stopped
    assert "".join(shown) == "one two " == subject.text


def test_the_beginning_of_a_stop_string_is_withheld_until_it_is_none() -> None:
    shown, subject = stream("abEx", stop=("END",))
    assert shown == ["a", "b", "", "Ex", ""]
    assert not subject.stopped


def test_what_is_withheld_comes_out_at_the_end() -> None:
    shown, subject = stream("done EN", stop=("END",))
    assert "".join(shown) == "done EN"
    assert not subject.stopped


def test_the_first_of_several_stop_strings_counts() -> None:
    _, subject = stream("say stop or halt", stop=("halt", "stop"))
    assert subject.text == "say "


@given(st.text("ab", max_size=40), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_streaming_agrees_with_cutting_the_whole_text(text: str, stops: list[str]) -> None:
    """Character by character the first stop string to be complete ends the text."""
    shown, subject = stream(text, tuple(stops))
    ends = [(at + len(stop), -len(stop)) for stop in stops if (at := text.find(stop)) >= 0]
    if ends:
        end, length = min(ends)
        assert subject.stopped
        assert "".join(shown) == text[: end + length]
    else:
        assert "".join(shown) == text


@pytest.mark.parametrize("stops", [(), ("",)])
def test_no_stop_string_stops_nothing(stops: tuple[str, ...]) -> None:
    shown, subject = stream("text", stops)
    assert "".join(shown) == "text"
    assert not subject.stopped
