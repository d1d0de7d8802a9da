"""What a row of self-checks leads to: go on, a fresh engine, quarantine, trust again."""

from __future__ import annotations

from gpu_worker.engine.protocol import Checked
from gpu_worker.soundness import PASSES_TO_TRUST, Soundness, Verdict

PASSED, FAILED = Checked("", routine=True), Checked("2 + 2 is 5", routine=True)
FAILED_AT_START = Checked("2 + 2 is 5", routine=False)


def quarantined() -> Soundness:
    soundness = Soundness()
    verdicts = [soundness.hear(FAILED), soundness.hear(FAILED_AT_START)]
    assert verdicts == [Verdict.RESTART, Verdict.QUARANTINE]
    return soundness


def test_a_first_failure_gets_a_fresh_engine_and_the_next_a_quarantine() -> None:
    assert quarantined().quarantine == "2 + 2 is 5"


def test_a_fresh_engine_that_passes_clears_the_suspicion_only_after_some_passes() -> None:
    soundness = Soundness()
    soundness.hear(FAILED)
    for _ in range(PASSES_TO_TRUST - 1):
        soundness.hear(PASSED)
    assert soundness.hear(FAILED) is Verdict.QUARANTINE


def test_failures_far_apart_each_get_a_fresh_engine() -> None:
    soundness = Soundness()
    for _ in range(3):
        assert soundness.hear(FAILED) is Verdict.RESTART
        for _ in range(PASSES_TO_TRUST):
            soundness.hear(PASSED)


def test_a_quarantine_ends_after_passes_in_a_row_and_not_before() -> None:
    soundness = quarantined()
    for _ in range(PASSES_TO_TRUST - 1):
        soundness.hear(PASSED)
    soundness.hear(FAILED)
    for _ in range(PASSES_TO_TRUST - 1):
        soundness.hear(PASSED)
    assert soundness.quarantine
    soundness.hear(PASSED)
    assert not soundness.quarantine


def test_the_check_at_a_start_is_no_proof_of_health() -> None:
    soundness = quarantined()
    for _ in range(PASSES_TO_TRUST):
        soundness.hear(Checked("", routine=False))
    assert soundness.quarantine


def test_in_quarantine_an_engine_is_started_again_at_the_pace_of_the_checks() -> None:
    soundness = quarantined()
    assert soundness.hear(FAILED) is Verdict.RESTART
    assert soundness.hear(FAILED_AT_START) is Verdict.GO_ON


def test_who_was_made_active_by_an_operator_starts_with_a_clean_slate() -> None:
    soundness = quarantined()
    soundness.trust()
    assert not soundness.quarantine
    assert soundness.hear(FAILED) is Verdict.RESTART


def test_a_quarantine_outlives_the_process() -> None:
    soundness = Soundness()
    soundness.distrust("2 + 2 is 5")
    assert soundness.hear(PASSED) is Verdict.GO_ON
    assert soundness.quarantine == "2 + 2 is 5"
