"""What of a streamed answer has been sent is always a beginning of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.openai.transcript import Changed, Transcript

TEXT = "Once upon a time a small robot lived in a quiet library."


def test_pieces_are_sent_as_they_come():
    transcript = Transcript()
    assert [transcript.hear(0, "Once"), transcript.hear(4, " upon")] == ["Once", " upon"]
    assert transcript.end("Once upon a time") == " a time"


def test_a_piece_that_was_missed_is_made_up_for_at_the_end():
    transcript = Transcript()
    assert transcript.hear(0, "Once") == "Once"
    assert transcript.hear(9, " a time") == ""
    assert transcript.end("Once upon a time") == " upon a time"


def test_a_second_attempt_that_says_the_same_goes_on_where_the_first_broke_off():
    transcript = Transcript()
    transcript.hear(0, "Once upon")
    assert [transcript.hear(0, "Once"), transcript.hear(4, " upon a"), transcript.hear(11, " time")] == [
        "",
        " a",
        " time",
    ]


def test_a_second_attempt_that_says_something_else_breaks_the_answer():
    transcript = Transcript()
    transcript.hear(0, "Once upon")
    with pytest.raises(Changed):
        transcript.hear(0, "Long")
    with pytest.raises(Changed):
        transcript.end("Long ago")


def test_white_space_around_an_answer_may_have_been_sent():
    transcript = Transcript()
    transcript.hear(0, " a cat ")
    assert transcript.end("a cat") == ""


@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))))
def test_whatever_pieces_come_in_whatever_order_the_answer_is_whole(cuts):
    transcript = Transcript()
    sent = "".join(transcript.hear(start, TEXT[start:stop]) for start, stop in cuts)
    assert sent + transcript.end(TEXT) == TEXT
