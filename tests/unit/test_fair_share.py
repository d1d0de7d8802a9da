"""Virtual time: shares follow the weights, a pause earns nothing, and running work counts before it has ended."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tasks_app.scheduling.fair_share import Ledger

ACME, ZEBRA, LATE = (UUID(int=n) for n in (1, 2, 3))


def present(*organizations: UUID) -> dict[tuple[UUID, int], float]:
    return {(organization, 0): 0.0 for organization in organizations}


def serve(ledger: Ledger, organizations: dict[UUID, float], cost: float, times: int) -> dict[UUID, float]:
    """The least used is served each time; GPU-seconds by organization."""
    used = dict.fromkeys(organizations, 0.0)
    for _ in range(times):
        ledger.enter(present(*organizations), organizations)
        next_ = min(organizations, key=ledger.of_organization)
        ledger.charge(next_, 0, cost, organizations[next_])
        used[next_] += cost
    return used


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.1, 60))
def test_shares_of_gpu_seconds_converge_to_the_weights(first, second, cost):
    weights = {ACME: first, ZEBRA: second}
    used = serve(Ledger(), weights, cost, 500)
    share = first / (first + second)
    assert abs(used[ACME] / sum(used.values()) - share) <= 2 / 500


def test_whoever_comes_back_from_a_pause_has_no_credit_and_no_debt():
    ledger = Ledger()
    serve(ledger, {ACME: 1.0, ZEBRA: 1.0}, 10.0, 10)
    serve(ledger, {ACME: 1.0}, 10.0, 1000)
    used = serve(ledger, {ACME: 1.0, ZEBRA: 1.0, LATE: 1.0}, 10.0, 30)
    assert set(used.values()) == {100.0}


def test_a_debt_is_not_forgotten_by_going_away_for_a_moment():
    ledger = Ledger()
    ledger.enter(present(ACME, ZEBRA), {})
    ledger.charge(ACME, 0, 100.0, 1.0)
    ledger.enter(present(ZEBRA), {})
    ledger.enter(present(ACME, ZEBRA), {})
    assert ledger.of_organization(ACME) - ledger.of_organization(ZEBRA) == 100.0


def test_running_work_counts_before_it_has_ended():
    ledger = Ledger()
    ledger.enter({(ACME, 0): 30.0, (ZEBRA, 0): 0.0}, {ACME: 2.0})
    assert (ledger.of_organization(ACME), ledger.of_user(ACME, 0)) == (15.0, 30.0)
    ledger.charge(ACME, 0, 10.0, 2.0)  # it took less than was thought
    ledger.enter(present(ACME, ZEBRA), {ACME: 2.0})
    assert ledger.of_organization(ACME) == 5.0


def test_users_of_one_organization_do_not_count_for_another():
    ledger = Ledger()
    ledger.enter({(ACME, 1): 0.0, (ACME, 2): 0.0, (ZEBRA, 1): 0.0}, {})
    ledger.charge(ACME, 1, 10.0, 1.0)
    assert ledger.of_user(ACME, 1) == 10.0
    assert ledger.of_user(ACME, 2) == ledger.of_user(ZEBRA, 1) == 0.0


def test_what_is_stored_brings_the_ledger_back():
    ledger = Ledger()
    ledger.enter({(ACME, 1): 0.0, (ACME, 2): 0.0, (ZEBRA, 1): 0.0}, {})
    ledger.charge(ACME, 1, 10.0, 1.0)
    ledger.charge(ACME, 2, 4.0, 1.0)
    ledger.charge(ZEBRA, 1, 8.0, 4.0)
    stored, forgotten = ledger.take_changes()
    again = Ledger(stored)
    assert not forgotten
    for organization in (ACME, ZEBRA):
        assert again.of_organization(organization) == ledger.of_organization(organization)
    assert (again.of_user(ACME, 1), again.of_user(ACME, 2)) == (10.0, 4.0)
    assert ledger.take_changes() == ({}, set())


def test_idle_accounts_that_are_not_ahead_are_forgotten():
    ledger = Ledger()
    ledger.enter(present(ACME, ZEBRA), {})
    ledger.charge(ACME, 0, 10.0, 1.0)
    ledger.charge(ZEBRA, 0, 90.0, 1.0)
    ledger.enter(present(ZEBRA), {})
    assert ledger.take_changes()[1] >= {(ACME, None), (ACME, 0)}
