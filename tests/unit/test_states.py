"""The table of legal transitions says what the documentation says."""

import pytest

from tasks_app.states import ACTIVE, FINAL, HELD, ON_WORKER, TRANSITIONS, Status, parse_status


def test_every_status_has_a_row_in_the_table():
    assert set(TRANSITIONS) == set(Status)


def test_nothing_leaves_a_final_state():
    assert all(not TRANSITIONS[status] for status in FINAL)


def test_every_active_state_can_reach_a_final_one():
    reached = set(FINAL)
    for _ in Status:
        reached |= {status for status in Status if TRANSITIONS[status] & reached}
    assert reached == set(Status)


def test_a_task_that_is_being_cancelled_never_goes_back_to_the_queue():
    assert Status.PENDING not in TRANSITIONS[Status.CANCELLING]


def test_what_holds_a_lease_is_on_a_worker_and_active():
    assert HELD < ON_WORKER < ACTIVE


@pytest.mark.parametrize(
    ("word", "status"),
    [("pending", "pending"), ("SUCCESS", "completed"), ("STARTED", "running"), ("REVOKED", "cancelled")],
)
def test_a_filter_takes_our_words_and_celerys(word, status):
    assert Status(status) in parse_status(word)


def test_a_filter_refuses_any_other_word():
    with pytest.raises(ValueError, match="done"):
        parse_status("done")
