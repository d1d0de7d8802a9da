"""Who has used how much: start-time fair queueing over organizations, and over the users inside each. Pure.

The virtual time of a party is what it used divided by its weight; the policy serves the smallest. Whoever comes back
after a pause starts where those who stayed are, so that idle time earns no credit and nobody has to make up for it.
Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM 1996.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar
from uuid import UUID

P = TypeVar("P")


class VirtualClock(Generic[P]):
    """The virtual times of parties that share one thing, in GPU-seconds per unit of weight."""

    def __init__(self, times: Mapping[P, float] | None = None) -> None:
        self.times = dict(times or {})  # of what has ended
        self._under_way: Mapping[P, float] = dict.fromkeys(self.times, 0.0)
        self._floor = min(self.times.values(), default=0.0)  # where the party stands that is furthest behind

    def enter(self, under_way: Mapping[P, float]) -> list[P]:
        """Who has work now, and what of it is used and not charged yet.

        Returns the parties that were forgotten: idle, with nothing that they would have to be remembered for.
        """
        for party in under_way:
            if party not in self._under_way:
                self.times[party] = max(self.times.get(party, 0.0), self._floor)
        self._under_way = under_way
        self._floor = max(self._floor, min((self.of(party) for party in under_way), default=self._floor))
        idle = [party for party, time in self.times.items() if party not in under_way and time <= self._floor]
        for party in idle:
            del self.times[party]
        return idle

    def charge(self, party: P, used: float) -> None:
        self.times[party] = self.times.get(party, self._floor) + used

    def of(self, party: P) -> float:
        return self.times.get(party, self._floor) + self._under_way.get(party, 0.0)


Account = tuple[UUID, int | None]  # (organization, user); None: the organization as a whole


class Ledger:
    """All accounts. The users of an organization weigh the same."""

    def __init__(self, accounts: Mapping[Account, float] | None = None) -> None:
        accounts = accounts or {}
        self._organizations = VirtualClock({org: time for (org, user), time in accounts.items() if user is None})
        users: dict[UUID, dict[int, float]] = {}
        for (organization, user), time in accounts.items():
            if user is not None:
                users.setdefault(organization, {})[user] = time
        self._users = {organization: VirtualClock(times) for organization, times in users.items()}
        self._changed: set[Account] = set()
        self._forgotten: set[Account] = set()

    def enter(self, under_way: Mapping[tuple[UUID, int], float], weights: Mapping[UUID, float]) -> None:
        """Who has work now, waiting or running, and how many GPU-seconds of it are not charged yet."""
        organizations: dict[UUID, float] = {}
        inside: dict[UUID, dict[int, float]] = {}
        for (organization, user), seconds in under_way.items():
            share = seconds / weights.get(organization, 1.0)
            organizations[organization] = organizations.get(organization, 0.0) + share
            inside.setdefault(organization, {})[user] = seconds
        self._forget((organization, None) for organization in self._organizations.enter(organizations))
        for organization in self._users.keys() - inside.keys():  # nobody there competes, so nobody there is behind
            self._forget((organization, user) for user in self._users.pop(organization).times)
        for organization, users in inside.items():
            left = self._users.setdefault(organization, VirtualClock()).enter(users)
            self._forget((organization, user) for user in left)

    def charge(self, organization: UUID, user: int, seconds: float, weight: float) -> None:
        """Work has ended and had cost so many GPU-seconds."""
        self._organizations.charge(organization, seconds / weight)
        self._users.setdefault(organization, VirtualClock()).charge(user, seconds)
        accounts: set[Account] = {(organization, None), (organization, user)}
        self._changed |= accounts
        self._forgotten -= accounts

    def of_organization(self, organization: UUID) -> float:
        return self._organizations.of(organization)

    def of_user(self, organization: UUID, user: int) -> float:
        clock = self._users.get(organization)
        return clock.of(user) if clock else 0.0

    def take_changes(self) -> tuple[dict[Account, float], set[Account]]:
        """What to store and what to delete since the last call."""
        stored = {account: self._charged(*account) for account in self._changed}
        forgotten = self._forgotten
        self._changed, self._forgotten = set(), set()
        return stored, forgotten

    def _charged(self, organization: UUID, user: int | None) -> float:
        return self._organizations.times[organization] if user is None else self._users[organization].times[user]

    def _forget(self, accounts: Iterable[Account]) -> None:
        gone = set(accounts)
        self._forgotten |= gone
        self._changed -= gone
