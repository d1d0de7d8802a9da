"""What is asked for, by whom and when: made from a seed, or read from a CSV file. Knows no scheduling."""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task is submitted `at` so many seconds after the beginning; on a warm worker it would run `run_seconds`."""

    at: float
    tenant: str
    user: int
    model: str
    priority: int
    run_seconds: float


@dataclass(frozen=True, slots=True)
class Tenant:
    """Sends `burst` tasks at once, `per_minute` tasks on average, at random times or, if `regular`, like a clock."""

    name: str
    per_minute: float
    burst: int = 1
    regular: bool = False
    users: int = 1
    weight: float = 1.0
    models: Mapping[str, float] = field(default_factory=lambda: {"model-1": 1.0})  # shares
    priorities: Mapping[int, float] = field(default_factory=lambda: {5: 1.0})  # shares
    run_seconds: float = 4.0  # mean
    spread: float = 0.3  # standard deviation of the logarithm


def generate(tenants: Iterable[Tenant], seconds: float, seed: int) -> list[Arrival]:
    """The same seed gives the same trace; a tenant's part of it does not depend on the others."""
    each = (_of(tenant, seconds, random.Random(f"{seed} {tenant.name}")) for tenant in tenants)
    return sorted(itertools.chain.from_iterable(each), key=lambda arrival: arrival.at)


def _of(tenant: Tenant, seconds: float, dice: random.Random) -> Iterator[Arrival]:
    gap = 60.0 * tenant.burst / tenant.per_minute
    at = gap if tenant.regular else dice.expovariate(1 / gap)
    while at < seconds:
        for _ in range(tenant.burst):
            yield Arrival(
                round(at, 3),
                tenant.name,
                dice.randint(1, tenant.users),
                _drawn(dice, tenant.models),
                _drawn(dice, tenant.priorities),
                round(dice.lognormvariate(0.0, tenant.spread) * tenant.run_seconds, 3),
            )
        at += gap if tenant.regular else dice.expovariate(1 / gap)


def _drawn(dice: random.Random, shares: Mapping[T, float]) -> T:
    return dice.choices(list(shares), list(shares.values()))[0]


def read(path: Path) -> list[Arrival]:
    """A CSV file whose header names the fields of `Arrival`. Raises ValueError with the line that is wrong."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        arrivals = [_parsed(path, number, row) for number, row in enumerate(rows, start=2)]
    return sorted(arrivals, key=lambda arrival: arrival.at)


def _parsed(path: Path, number: int, row: Mapping[str, str]) -> Arrival:
    try:
        return Arrival(
            float(row["at"]),
            row["tenant"],
            int(row["user"]),
            row["model"],
            int(row["priority"]),
            float(row["run_seconds"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        names = ", ".join(each.name for each in fields(Arrival))
        raise ValueError(f"{path}, line {number}: {error!r}; a trace has the columns {names}") from None


def write(path: Path, arrivals: Sequence[Arrival]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(each.name for each in fields(Arrival))
        rows.writerows(astuple(arrival) for arrival in arrivals)
